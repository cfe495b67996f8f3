"""Distributions of scores as SVG: a dot a case, quartiles as a box, in the colours of the page around it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 420, 96
LEAST_MM = 0.01
"""Smaller values stand here on an axis of decades."""
_LEFT, _RIGHT, _BASE, _TOP = 16, 400, 70, 20
_STEP = 6.0
"""Distance of dots that are stacked, and the width of the column that they share."""


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a plot: its ends, the numbers along it, and whether it shows decades."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def position(self, value: float) -> float:
        """A value along this axis, in its own units: a power of ten on decades."""
        if self.is_log:
            return float(np.log10(max(value, LEAST_MM)))
        return float(value)

    def x(self, position: float) -> float:
        """Where a position stands in the plot; beyond an end, at that end."""
        inside = min(max(position, self.low), self.high)
        part = (inside - self.low) / (self.high - self.low)
        return _LEFT + part * (_RIGHT - _LEFT)


def dot_plot(title: str, values: dict[str, float], limits: tuple[float, float] | None = None) -> str:
    """Plot one value a case, from left to right; dots that would overlap are stacked.

    Args:
        title: What the values are.
        values: The value of each case.
        limits: The axis' ends; None for the decades that the values span, 0.01 standing for less.

    Returns:
        An SVG. Each dot has the attribute `data-case`.
    """
    axis = _decades(values) if limits is None else _linear(*limits)
    positions = {case: axis.position(value) for case, value in values.items()}
    name = escape(title)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">',
        f'<text x="{_LEFT}" y="12" class="title">{name}</text>',
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_BASE}" y2="{_BASE}" class="axis"/>',
    ]
    for position, text in axis.ticks:
        x = axis.x(position)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_BASE}" y2="{_BASE + 4}" class="axis"/>')
        parts.append(f'<text x="{x:.1f}" y="{_BASE + 16}" class="tick">{text}</text>')

    first, median, third = np.percentile(list(positions.values()), [25, 50, 75])
    left, middle = axis.x(first), axis.x(median)
    # Where all values are equal the box is still to be seen.
    width = max(1.0, axis.x(third) - left)
    height = _BASE - _TOP
    parts.append(f'<rect x="{left:.1f}" width="{width:.1f}" y="{_TOP}" height="{height}" class="box"/>')
    parts.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{_TOP}" y2="{_BASE}" class="median"/>')
    parts += _dots(values, positions, axis)
    parts.append("</svg>")
    return "".join(parts)


def _linear(low: float, high: float) -> Axis:
    ticks = []
    for value in np.linspace(low, high, 6):
        ticks.append((float(value), f"{value:.3g}"))
    return Axis(low, high, tuple(ticks))


def _decades(values: dict[str, float]) -> Axis:
    least = max(min(values.values()), LEAST_MM)
    largest = max(max(values.values()), LEAST_MM)
    low = float(np.floor(np.log10(least)))
    high = float(np.floor(np.log10(largest))) + 1
    ticks = []
    for power in np.arange(low, high + 1):
        ticks.append((float(power), f"{10.0**power:g}"))
    return Axis(low, high, tuple(ticks), is_log=True)


def _dots(values: dict[str, float], positions: dict[str, float], axis: Axis) -> list[str]:
    stacked: dict[int, int] = {}
    dots = []
    for case, position in sorted(positions.items(), key=lambda item: item[1]):
        x = axis.x(position)
        column = round(x / _STEP)
        below = stacked.get(column, 0)
        stacked[column] = below + 1
        # A column that would leave the plot starts again at its foot.
        y = _BASE - 4 - (below * _STEP) % (_BASE - 24)
        name = escape(case)
        dots.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot" data-case="{name}">'
            f"<title>{name}: {values[case]:.3g}</title></circle>"
        )
    return dots
