"""Plain PNG sheets: a row a case, slices through its structures, reference and prediction outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.reporting.views import CaseView
from vestibule.errors import InputError

ROWS, COLUMNS = 6, 5
"""Cases and slices on a sheet."""
REFERENCE, PREDICTION = "#ffb000", "#00c2ff"


@dataclass(frozen=True)
class SheetRow:
    """Slices of one case, front up, the patient's right on the left."""

    case: str
    images: np.ndarray
    """(slices, Y, X) uint8."""
    references: np.ndarray
    """Labels (slices, Y, X) uint8."""
    predictions: np.ndarray
    """Labels (slices, Y, X) uint8."""
    aspect: float
    """Height of a voxel over its width."""


def sheet_row(view: CaseView, count: int = COLUMNS) -> SheetRow:
    """`count` axial slices of a view, spread over those that hold a structure, or over all where none does."""
    held = np.flatnonzero((view.reference | view.prediction).any(axis=(1, 2)))
    candidates = held if held.size else np.arange(view.image.shape[0])
    chosen = candidates[np.linspace(0, candidates.size - 1, count).round().astype(int)]
    # The view's axes run to the right, front and head.
    slices = (values[chosen, ::-1, ::-1].copy() for values in (view.image, view.reference, view.prediction))
    return SheetRow(view.case, *slices, view.geometry.spacing_zyx[1] / view.geometry.spacing_zyx[2])


def write_sheets(out_dir: Path, rows: Sequence[SheetRow], captions: dict[str, str]) -> list[Path]:
    """Write the cases in their order, six a sheet, as `sheet_01.png`, ...; returns the files.

    `captions` maps a case to what is written above it. Raises InputError where the disk refuses.
    """
    paths = []
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        heights = [2.2 * row.aspect * row.images.shape[1] / row.images.shape[2] + 0.3 for row in some]
        figure = Figure(figsize=(2.2 * COLUMNS, sum(heights) + 0.3), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(some), COLUMNS, squeeze=False, height_ratios=heights)
        for line, row in zip(axes, some, strict=True):
            _draw_case(line, row, captions.get(row.case, row.case))
        figure.supxlabel("reference orange, prediction blue; the patient's right is on the left", fontsize=7)
        path = Path(out_dir) / f"sheet_{first // ROWS + 1:02d}.png"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=110)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        paths.append(path)
    return paths


def _draw_case(axes: Sequence, row: SheetRow, caption: str) -> None:
    for axis, image, reference, prediction in zip(axes, row.images, row.references, row.predictions, strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, aspect=row.aspect)
        for labels, colour, width in ((reference, REFERENCE, 2.2), (prediction, PREDICTION, 0.8)):
            for value in set(np.unique(labels).tolist()) - {0}:
                axis.contour(labels == value, levels=[0.5], colors=colour, linewidths=width)
        axis.set_axis_off()
    axes[0].set_title(caption, fontsize=8, loc="left")
