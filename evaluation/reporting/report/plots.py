"""Distributions of scores as SVG: a dot a case, quartiles as a box, in the colours of the page around it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 420, 96
LEAST_MM = 0.01
"""Smaller values stand here on an axis of decades."""
_LEFT, _RIGHT, _BASE, _TOP = 16, 400, 70, 20
_TICK_END, _TICK_TEXT = _BASE + 4, _BASE + 16
_STACK = _BASE - 24
"""Height that stacked dots may take."""
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
        if not self.is_log:
            return float(value)
        at_least = max(value, LEAST_MM)
        return float(np.log10(at_least))

    def x(self, position: float) -> float:
        """Where a position stands in the plot; beyond an end, at that end."""
        inside = max(position, self.low)
        inside = min(inside, self.high)
        length = self.high - self.low
        part = (inside - self.low) / length
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
    positions = {}
    for case, value in values.items():
        positions[case] = axis.position(value)

    name = escape(title)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">',
        f'<text x="{_LEFT}" y="12" class="title">{name}</text>',
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_BASE}" y2="{_BASE}" class="axis"/>',
    ]

    for position, text in axis.ticks:
        x = f"{axis.x(position):.1f}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_BASE}" y2="{_TICK_END}" class="axis"/>')
        parts.append(f'<text x="{x}" y="{_TICK_TEXT}" class="tick">{text}</text>')

    all_positions = list(positions.values())
    first, median, third = np.percentile(all_positions, [25, 50, 75])
    left = axis.x(first)
    middle = f"{axis.x(median):.1f}"
    # Where all values are equal the box is still to be seen.
    right = axis.x(third)
    width = max(1.0, right - left)
    height = _BASE - _TOP
    parts.append(f'<rect x="{left:.1f}" width="{width:.1f}" y="{_TOP}" height="{height}" class="box"/>')
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="{_TOP}" y2="{_BASE}" class="median"/>')

    parts += _dots(values, positions, axis)
    parts.append("</svg>")
    return "".join(parts)


def _linear(low: float, high: float) -> Axis:
    ticks = []
    for value in np.linspace(low, high, 6):
        text = f"{value:.3g}"
        ticks.append((float(value), text))
    return Axis(low, high, tuple(ticks))


def _decades(values: dict[str, float]) -> Axis:
    least = min(values.values())
    largest = max(values.values())
    low = _decade_of(least)
    # The largest value lies within its decade, which ends one further on.
    high = _decade_of(largest) + 1

    ticks = []
    for power in range(low, high + 1):
        # 0.01 and 100, not 1e-02 and 1e+02.
        text = f"{10.0**power:g}"
        ticks.append((float(power), text))
    return Axis(low, high, tuple(ticks), is_log=True)


def _decade_of(value: float) -> int:
    """The power of ten that a value reaches."""
    at_least = max(value, LEAST_MM)
    power = np.floor(np.log10(at_least))
    return int(power)


def _dots(values: dict[str, float], positions: dict[str, float], axis: Axis) -> list[str]:
    stacked: dict[int, int] = {}
    dots = []
    for case in sorted(positions, key=positions.__getitem__):
        x = axis.x(positions[case])
        column = round(x / _STEP)
        below = stacked.get(column, 0)
        stacked[column] = below + 1

        # A column that would leave the plot starts again at its foot.
        height = (below * _STEP) % _STACK
        y = _BASE - 4 - height

        name = escape(case)
        value = f"{values[case]:.3g}"
        place = f'cx="{x:.1f}" cy="{y:.1f}"'
        dots.append(f'<circle {place} r="3" class="dot" data-case="{name}">')
        dots.append(f"<title>{name}: {value}</title></circle>")
    return dots
