"""Sheets of slices as PNG: a column a kind of image, a row a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vestibule.files import atomic


def save_sheet(
    path: Path,
    columns: Mapping[str, Sequence[np.ndarray] | np.ndarray],
    outlines: Mapping[str, Sequence[np.ndarray]] | None = None,
    rows: Sequence[str] = (),
    inches: float = 1.9,
) -> None:
    """Write `columns` side by side as one grey picture, the patient's right on the left.

    Args:
        path: The PNG.
        columns: Title -> slices (Y, X) in [-1, 1].
        outlines: Title -> masks (Y, X), of which the outlines are plotted in red over the column of that title.
        rows: Names of the rows.
        inches: Width of a column.
    """
    count = 0
    tallest = 0.0
    for images in columns.values():
        count = max(count, len(images))
        for image in images:
            height, width = image.shape
            tallest = max(tallest, height / width)
    # Every row is as high as the tallest slice needs; the titles take the rest.
    width_inches = inches * len(columns)
    height_inches = inches * tallest * count + 0.3
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained", facecolor="white")
    # Without pyplot, which would keep every figure and look for a display.
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(columns), squeeze=False)

    # Columns may have fewer slices than there are rows: those places stay white.
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    outlines = outlines or {}
    for column, (title, images) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(title, fontsize=9)
        masks = outlines.get(title)
        for row, image in enumerate(images):
            axis = column[row]
            axis.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            # Matplotlib warns of an outline of nothing.
            if masks is not None and masks[row].any():
                axis.contour(masks[row], levels=[0.5], colors="red", linewidths=0.8)
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(name, fontsize=8)

    with atomic(path) as partial:
        figure.savefig(partial, dpi=130)
