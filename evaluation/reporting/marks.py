"""What pictures carry over their voxels: outlines, the patient's sides, a scale bar, and the legend of the colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from evaluation.reporting.colours import Pen
from evaluation.reporting.plane import Plane, scale_of

REFERENCE_WIDTH, PREDICTION_WIDTH = 2.2, 0.9
"""Of lines, in points: a reference shows beneath a prediction that is equal."""
INSET = 0.03
"""Distance of letters and scale bar from the edge, as a share of the picture."""
HALO = withStroke(linewidth=2, foreground="black")
"""Around white marks, which stand on white fluid too."""


def outline(axes: Axes, labels: np.ndarray, pens: Sequence[Pen], of_reference: bool) -> None:
    """Outline every structure in `labels` (Y, X), a structure of several values as one."""
    for pen in pens:
        mask = np.isin(labels, pen.values)
        # Matplotlib warns of an outline of nothing.
        if not mask.any():
            continue
        colour = pen.reference if of_reference else pen.prediction
        width = REFERENCE_WIDTH if of_reference else PREDICTION_WIDTH
        axes.contour(mask, levels=[0.5], colors=colour, linewidths=width)


def mark(axes: Axes, size_yx: tuple[int, int], plane: Plane, fontsize: float = 8) -> None:
    """Write the patient's side at each edge of a picture of `size_yx` pixels, and put a scale bar into its corner."""
    left, right, top, bottom = plane.edges
    near, far = INSET, 1 - INSET
    _write(axes, near, 0.5, left, fontsize, horizontal="left")
    _write(axes, far, 0.5, right, fontsize, horizontal="right")
    _write(axes, 0.5, far, top, fontsize, vertical="top")
    _write(axes, 0.5, near, bottom, fontsize, vertical="bottom")

    _, columns = size_yx
    _, pixel_mm = plane.pixel_yx_mm
    width_mm = columns * pixel_mm
    length_mm = scale_of(width_mm)
    if not length_mm:
        return
    # The picture fills its axes, so that a share of them is a share of its width.
    share = length_mm / width_mm
    bar = [near, near + share]
    axes.plot(bar, [near, near], transform=axes.transAxes, color="white", lw=2, path_effects=[HALO])
    above = near + 0.015
    _write(axes, near, above, f"{length_mm:g} mm", fontsize, horizontal="left", vertical="bottom")


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    fontsize: float,
    horizontal: Literal["left", "center", "right"] = "center",
    vertical: Literal["bottom", "center", "top"] = "center",
) -> None:
    """Write white text at a place in shares of the picture."""
    written = axes.text(x, y, text, transform=axes.transAxes, color="white", fontsize=fontsize)
    written.set_horizontalalignment(horizontal)
    written.set_verticalalignment(vertical)
    written.set_path_effects([HALO])


def legend_lines(pens: Sequence[Pen], has_reference: bool = True) -> list[Line2D]:
    """Lines for a legend: the reference, where there is one, and the prediction of each structure."""
    lines = []
    for pen in pens:
        reference = Line2D([], [], color=pen.reference, lw=REFERENCE_WIDTH, label=f"{pen.title}, reference")
        prediction = Line2D([], [], color=pen.prediction, lw=PREDICTION_WIDTH, label=f"{pen.title}, prediction")
        lines += [reference, prediction] if has_reference else [prediction]
    return lines
