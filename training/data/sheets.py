"""Sheets of slices as PNG: a column a kind of image, a row a slice."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vestibule.files import atomic

MOST_SHOWN = 0.5
"""Differences from here on have the strongest colour."""
UNIT = (
    "RMSE: root mean square of a difference, in working intensities, which run from -1 (black) to 1 (white); "
    f"orange: brighter, violet: darker, strongest from {MOST_SHOWN:g} on"
)
"""What a sheet with differences says below."""
LETTERS_AN_INCH = 15
"""Of what is said below, at most."""
COLOURS = {"red": "#ff5050", "blue": "#40d0ff", "yellow": "#ffd040", "green": "#70e060", "pink": "#e080ff"}
"""Of the outlines of label values 1, 2, ... in turn, by their names."""


@dataclass(frozen=True)
class Difference:
    """By how much an image is brighter than another one, which a sheet shows in colours with its size as a number."""

    pixels: np.ndarray
    """(Y, X) in [-2, 2]."""

    @classmethod
    def between(cls, image: np.ndarray, other: np.ndarray) -> Difference:
        """`image` less `other`, both (Y, X) in [-1, 1]."""
        pixels = np.asarray(image, dtype=np.float32) - np.asarray(other, dtype=np.float32)
        return cls(pixels)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.pixels.shape
        return rows, columns

    @property
    def rmse(self) -> float:
        """Root of the mean square, in working intensities."""
        squares = np.square(self.pixels, dtype=np.float64)
        return float(np.sqrt(squares.mean()))


@dataclass(frozen=True)
class Captioned:
    """A slice with words of its own below it."""

    pixels: np.ndarray
    """(Y, X) in [-1, 1]."""
    caption: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.pixels.shape
        return rows, columns


Cell = np.ndarray | Difference | Captioned
"""What stands in a place of a sheet: a slice (Y, X) in [-1, 1], with words or without, or how two slices differ."""


def save_sheet(
    path: Path,
    columns: Mapping[str, Sequence[Cell] | np.ndarray],
    outlines: Mapping[str, Sequence[np.ndarray]] | None = None,
    rows: Sequence[str] = (),
    inches: float = 1.9,
    note: str = "",
) -> None:
    """Write `columns` side by side as one picture, slices in grey, the patient's right on the left.

    Args:
        path: The PNG.
        columns: Title -> slices (Y, X) in [-1, 1], with captions or without, or differences of slices.
        outlines: Title -> masks or labels (Y, X), of which the outlines are plotted over the column of that title, each
            value in its colour; a mask is red.
        rows: Names of the rows.
        inches: Width of a column.
        note: What is said below all rows.
    """
    cells = [cell for images in columns.values() for cell in images]
    count = max(len(images) for images in columns.values())
    has_differences = any(isinstance(cell, Difference) for cell in cells)
    # Every row is as high as the tallest slice needs; the titles take the rest.
    tallest = max(cell.shape[0] / cell.shape[1] for cell in cells)
    lines = max(title.count("\n") for title in columns) + 1
    width_inches = inches * len(columns)
    height_inches = inches * tallest * count + 0.15 + 0.15 * lines
    below = []
    for text in (UNIT if has_differences else "", note):
        below += textwrap.wrap(text, round(width_inches * LETTERS_AN_INCH))
    has_captions = has_differences or any(isinstance(cell, Captioned) for cell in cells)
    if has_captions or below:
        # A line below each row, and what numbers mean below them all.
        height_inches += 0.2 * count + 0.2 + 0.12 * max(0, len(below) - 1)
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
        for axis in column[len(images) :]:
            axis.spines[:].set_visible(False)
        for row, image in enumerate(images):
            axis = column[row]
            _plot(axis, image)
            if masks is not None:
                outline(axis, masks[row], 0.8)
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(name, fontsize=8)
    if below:
        figure.supxlabel("\n".join(below), fontsize=7)

    with atomic(path) as partial:
        figure.savefig(partial, dpi=130)


def colour_of(value: int) -> str:
    """Name of the colour that outlines a label value from 1 on."""
    names = list(COLOURS)
    return names[(value - 1) % len(names)]


def outline(axis: Axes, labels: np.ndarray, width: float) -> None:
    """Plot the outlines of labels or of a mask (Y, X), each value in its colour, in lines of a width in points."""
    # Matplotlib warns of an outline of nothing, so values that are not there have none.
    for value in np.unique(labels):
        if value:
            colour = COLOURS[colour_of(int(value))]
            axis.contour(labels == value, levels=[0.5], colors=colour, linewidths=width)


def _plot(axis: Axes, cell: Cell) -> None:
    if isinstance(cell, Difference):
        # A map that people who confuse colours read too; it runs from orange to violet.
        axis.imshow(-cell.pixels, cmap="PuOr", vmin=-MOST_SHOWN, vmax=MOST_SHOWN, interpolation="nearest")
        axis.set_xlabel(f"RMSE {cell.rmse:.3f}", fontsize=8, labelpad=2)
        return
    if isinstance(cell, Captioned):
        axis.set_xlabel(cell.caption, fontsize=8, labelpad=2)
        cell = cell.pixels
    axis.imshow(cell, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
