"""Plain PNG sheets: a row a case, slices through its structures, reference and prediction outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.reporting.views import CaseView
from vestibule.files import atomic

ROWS, COLUMNS = 6, 5
"""Cases and slices on a sheet."""
SLICE_INCHES = 2.2
"""Width of a slice."""
TITLE_INCHES = 0.3
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
    labels = view.reference | view.prediction
    candidates = np.flatnonzero(labels.any(axis=(1, 2)))
    if candidates.size == 0:
        candidates = np.arange(len(view.image))
    last = candidates.size - 1
    places = np.linspace(0, last, count).round()
    chosen = candidates[places.astype(int)]

    def slices_of(volume: np.ndarray) -> np.ndarray:
        # The view's axes run to the right, front and head.
        turned = volume[chosen, ::-1, ::-1]  # (slices, Y, X)
        return turned.copy()

    _, height_mm, width_mm = view.geometry.spacing_zyx
    aspect = height_mm / width_mm
    return SheetRow(
        case=view.case,
        images=slices_of(view.image),
        references=slices_of(view.reference),
        predictions=slices_of(view.prediction),
        aspect=aspect,
    )


def write_sheets(out_dir: Path, rows: Sequence[SheetRow], captions: dict[str, str]) -> list[Path]:
    """Write the cases in their order, six a sheet, as `sheet_01.png`, ...

    Args:
        out_dir: Where the sheets go.
        rows: What is shown of each case.
        captions: What is written above a case.

    Returns:
        The files.

    Raises:
        InputError: The disk refuses.
    """
    paths = []
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        heights = []
        for row in some:
            _, lines, columns = row.images.shape
            height = SLICE_INCHES * row.aspect * lines / columns
            # Its caption stands above.
            heights.append(height + TITLE_INCHES)
        width = SLICE_INCHES * COLUMNS
        size = width, sum(heights) + TITLE_INCHES

        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(some), COLUMNS, squeeze=False, height_ratios=heights)
        for line, row in zip(grid, some, strict=True):
            caption = captions.get(row.case, row.case)
            _plot_case(line, row, caption)
        figure.supxlabel("reference orange, prediction blue; the patient's right is on the left", fontsize=7)

        number = first // ROWS + 1
        path = Path(out_dir) / f"sheet_{number:02d}.png"
        with atomic(path) as partial:
            figure.savefig(partial, dpi=110)
        paths.append(path)
    return paths


def _plot_case(line: Sequence[Axes], row: SheetRow, caption: str) -> None:
    for index, axes in enumerate(line):
        axes.imshow(row.images[index], cmap="gray", vmin=0, vmax=255, aspect=row.aspect)
        # The reference is wider, so that it shows beneath a prediction that is equal.
        reference = row.references[index]
        prediction = row.predictions[index]
        _outline(axes, reference, REFERENCE, 2.2)
        _outline(axes, prediction, PREDICTION, 0.8)
        axes.set_axis_off()
    line[0].set_title(caption, fontsize=8, loc="left")


def _outline(axes: Axes, labels: np.ndarray, colour: str, width: float) -> None:
    """Outline every value in `labels` (Y, X) but 0."""
    for value in np.unique(labels):
        if value != 0:
            axes.contour(labels == value, levels=[0.5], colors=colour, linewidths=width)
