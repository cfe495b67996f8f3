"""Distributions of scores as SVG: a dot a case, quartiles as a box, in the colours of the page around it."""

from __future__ import annotations

from html import escape

import numpy as np

WIDTH, HEIGHT = 420, 96
_LEFT, _RIGHT, _BASE = 16, 400, 70
_STEP = 6.0


def dot_plot(title: str, values: dict[str, float], log: bool = False) -> str:
    """An SVG of one value a case, from left to right; dots that would overlap are stacked.

    The axis runs from 0 to 1, or, with `log`, over the decades of the values in mm, 0.01 standing for less. Each dot
    has the attribute `data-case`.
    """
    if log:
        shown = {case: float(np.log10(max(value, 0.01))) for case, value in values.items()}
        low, high = float(np.floor(min(shown.values()))), float(np.floor(max(shown.values()))) + 1
        ticks = [(power, f"{10.0**power:g}") for power in np.arange(low, high + 1)]
    else:
        shown, low, high = dict(values), 0.0, 1.0
        ticks = [(value, f"{value:g}") for value in np.linspace(0, 1, 6).round(1)]
    quartiles = [_place(value, low, high) for value in np.percentile(list(shown.values()), [25, 50, 75])]
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="12" class="title">{escape(title)}</text>',
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_BASE}" y2="{_BASE}" class="axis"/>',
    ]
    for value, text in ticks:
        x = _place(float(value), low, high)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_BASE}" y2="{_BASE + 4}" class="axis"/>')
        parts.append(f'<text x="{x:.1f}" y="{_BASE + 16}" class="tick">{text}</text>')
    parts.append(
        f'<rect x="{quartiles[0]:.1f}" width="{max(1.0, quartiles[2] - quartiles[0]):.1f}" y="20" '
        f'height="{_BASE - 20}" class="box"/>'
        f'<line x1="{quartiles[1]:.1f}" x2="{quartiles[1]:.1f}" y1="20" y2="{_BASE}" class="median"/>'
    )
    return "".join([*parts, *_dots(values, shown, low, high), "</svg>"])


def _dots(values: dict[str, float], shown: dict[str, float], low: float, high: float) -> list[str]:
    heights: dict[int, int] = {}
    dots = []
    for case, value in sorted(shown.items(), key=lambda item: item[1]):
        x = _place(value, low, high)
        stacked = heights[round(x / _STEP)] = heights.get(round(x / _STEP), -1) + 1
        # A column that would leave the plot starts again at its foot.
        y = _BASE - 4 - (stacked * _STEP) % (_BASE - 24)
        dots.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot" data-case="{escape(case)}">'
            f"<title>{escape(case)}: {values[case]:.3g}</title></circle>"
        )
    return dots


def _place(value: float, low: float, high: float) -> float:
    return _LEFT + (min(max(value, low), high) - low) / (high - low) * (_RIGHT - _LEFT)
