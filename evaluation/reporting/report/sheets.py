"""Plain PNG sheets: a row a case, slices through its structures, reference and prediction outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.reporting.colours import Pen, pens_of
from evaluation.reporting.marks import legend_lines, mark, outline
from evaluation.reporting.plane import Plane, plane_of
from evaluation.reporting.views import CaseView
from vestibule.editions import Edition
from vestibule.files import atomic
from vestibule.volume import Volume, reorient

ROWS, COLUMNS = 6, 5
"""Cases and slices on a sheet."""
SLICE_INCHES = 2.2
"""Width of a slice."""
TITLE_INCHES = 0.3


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
    numbers: tuple[int, ...]
    """Which slices of the image these are, counted from 0 at the feet."""
    plane: Plane


def sheet_row(view: CaseView, count: int = COLUMNS) -> SheetRow:
    """`count` axial slices of a view, spread over those that hold a structure, or over all where none does."""
    labels = view.reference | view.prediction
    candidates = np.flatnonzero(labels.any(axis=(1, 2)))
    if candidates.size == 0:
        candidates = np.arange(len(view.image))
    last = candidates.size - 1
    places = np.linspace(0, last, count).round()
    chosen = candidates[places.astype(int)]

    def turned(voxels: np.ndarray) -> Volume:
        # Axes to the left, back and head: as radiologists look at slices.
        volume = Volume(voxels, view.geometry)
        return reorient(volume, "LPS")

    image = turned(view.image)
    numbers = chosen + view.first_slice
    return SheetRow(
        case=view.case,
        images=image.voxels[chosen],
        references=turned(view.reference).voxels[chosen],
        predictions=turned(view.prediction).voxels[chosen],
        numbers=tuple(numbers.tolist()),
        plane=plane_of(image.geometry),
    )


def write_sheets(out_dir: Path, rows: Sequence[SheetRow], captions: dict[str, str], edition: Edition) -> list[Path]:
    """Write the cases in their order, six a sheet, as `sheet_01.png`, ...

    Args:
        out_dir: Where the sheets go.
        rows: What is shown of each case.
        captions: What is written above a case.
        edition: What labels mean.

    Returns:
        The files.

    Raises:
        InputError: The disk refuses.
    """
    pens = pens_of(edition)
    paths = []
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        heights = []
        for row in some:
            _, lines, columns = row.images.shape
            height = SLICE_INCHES * row.plane.aspect * lines / columns
            # Its caption stands above.
            heights.append(height + TITLE_INCHES)
        width = SLICE_INCHES * COLUMNS
        # The legend stands below.
        size = width, sum(heights) + TITLE_INCHES

        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(some), COLUMNS, squeeze=False, height_ratios=heights)
        for line, row in zip(grid, some, strict=True):
            caption = captions.get(row.case, row.case)
            _plot_case(line, row, caption, pens)
        lines = legend_lines(pens)
        figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize=7, frameon=False)

        number = first // ROWS + 1
        path = Path(out_dir) / f"sheet_{number:02d}.png"
        with atomic(path) as partial:
            figure.savefig(partial, dpi=110)
        paths.append(path)
    return paths


def _plot_case(line: Sequence[Axes], row: SheetRow, caption: str, pens: Sequence[Pen]) -> None:
    for index, axes in enumerate(line):
        image = row.images[index]
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect=row.plane.aspect)
        outline(axes, row.references[index], pens, of_reference=True)
        outline(axes, row.predictions[index], pens, of_reference=False)
        mark(axes, image.shape, row.plane, fontsize=6)
        number = str(row.numbers[index])
        axes.text(0.98, 0.97, number, transform=axes.transAxes, ha="right", va="top", color="white", fontsize=6)
        axes.set_axis_off()
    line[0].set_title(caption, fontsize=8, loc="left")
