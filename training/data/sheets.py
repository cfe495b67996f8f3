"""Sheets of slices as PNG: a column a kind of image, a row a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save_sheet(
    path: Path,
    columns: Mapping[str, Sequence[np.ndarray] | np.ndarray],
    outlines: Mapping[str, Sequence[np.ndarray]] | None = None,
    rows: Sequence[str] = (),
    inches: float = 1.9,
) -> None:
    """Draw `columns` (title -> slices (Y, X) in [-1, 1]) side by side, grey, patient's right on the left.

    `outlines` (title -> masks (Y, X)) are drawn in red over the column of that title; `rows` names the rows.
    """
    count = max(len(images) for images in columns.values())
    tallest = max(image.shape[0] / image.shape[1] for images in columns.values() for image in images)
    size = inches * len(columns), inches * tallest * count + 0.3
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(columns), squeeze=False)
    for column, (title, images) in enumerate(columns.items()):
        axes[0][column].set_title(title, fontsize=9)
        for row, image in enumerate(images):
            axis = axes[row][column]
            axis.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            mask = outlines[title][row] if outlines and title in outlines else None
            if mask is not None and mask.any():
                axis.contour(mask, levels=[0.5], colors="red", linewidths=0.8)
            if column == 0 and row < len(rows):
                axis.set_ylabel(rows[row], fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
