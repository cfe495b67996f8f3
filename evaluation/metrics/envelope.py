"""min over j of f[j] + (x - x_j)^2 for many lines at once: one axis of an exact squared distance transform.

Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 2012, section 2.1. Where
the paper walks along one line, every step here works on a row of all lines.
"""

from __future__ import annotations

import numpy as np


def lower_envelope(heights: np.ndarray, places: np.ndarray, wanted: np.ndarray, spacing: float) -> np.ndarray:
    """The smallest heights[j] + (spacing * (wanted - places[j]))^2 in each of the lines.

    `heights` is (N, lines); `places` (N,) and `wanted` (M,) are consecutive integers; `spacing` is not 0. Returns
    (M, lines).
    """
    if len(places) == 1:
        return heights + ((spacing * (wanted - places[0])) ** 2)[:, None]
    starts, visible = _visible_parabolas(heights, places * spacing)
    return _read(heights, starts / spacing, visible, places, wanted, spacing)


def _visible_parabolas(heights: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each parabola begins to be the lowest, and whether it is anywhere: both (N, lines)."""
    starts, below = np.empty_like(heights), np.empty(heights.shape, dtype=np.int32)
    visible = np.ones(heights.shape, dtype=bool)
    starts[0] = -np.inf
    for new in range(1, len(heights)):
        start, under = starts[new], below[new]
        under[:] = new - 1
        np.subtract(heights[new], heights[new - 1], out=start)
        start /= places[new] - places[new - 1]
        start += places[new] + places[new - 1]
        start *= 0.5
        lines = np.flatnonzero(start <= starts[new - 1])
        top = new - 1
        while lines.size:
            visible[top, lines] = False
            top = below[top, lines]
            under[lines] = top
            rise = (heights[new, lines] - heights[top, lines]) / (places[new] - places[top])
            crossing = 0.5 * (rise + places[new] + places[top])
            start[lines] = crossing
            hidden = crossing <= starts[top, lines]
            lines, top = lines[hidden], top[hidden]
    return starts, visible


def _read(
    heights: np.ndarray, starts: np.ndarray, visible: np.ndarray, places: np.ndarray, wanted: np.ndarray, spacing: float
) -> np.ndarray:
    lines = heights.shape[1]
    winner = np.zeros((len(wanted), lines), dtype=np.int32)
    parabolas = np.flatnonzero(visible)
    first = np.ceil(np.clip(starts.ravel()[parabolas] - wanted[0], 0, len(wanted))).astype(np.int64)
    shown = first < len(wanted)
    parabolas, first = parabolas[shown], first[shown]
    parabola, line = np.divmod(parabolas, lines)
    # Of two that begin between the same two positions the later one, written last, is the lower.
    winner.ravel()[first * lines + line] = parabola
    np.maximum.accumulate(winner, axis=0, out=winner)
    found = (wanted[:, None] - places[0] - winner) * spacing
    found *= found
    found += heights.ravel()[winner * np.int64(lines) + np.arange(lines)]
    return found
