"""Exact distances from some voxels to others by a separable transform, at a cost that follows their boxes.

Three passes, one an axis, turn squared distances along a line into squared distances in a plane and in the volume
(Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions", 2012). Each pass reads only the box of the
voxels that distances go to and answers only in the box of those that they start from. The axis along which the start
is thin goes first and the one along which the goal is thin goes last, so a plane of voxels costs a plane.
"""

from __future__ import annotations

import itertools

import numpy as np

from evaluation.metrics.envelope import lower_envelope

FAR = 2**28
"""Steps to a voxel that is not there: more than any row has, small enough that its square keeps its digits."""
_LINES = 4096
"""Lines whose envelopes are built together: enough to hide Python's overhead, few enough to stay in the cache."""


def squared_distances(start: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Squared distance in mm2 from each voxel of `start` (N, 3) to the nearest of `goal` (M, 3); integer indices.

    `spacing` is (3,) mm, none 0, in the order of the indices' columns. Returns (N,).
    """
    order = list(_cheapest_order(_sizes(start, goal)))
    start, goal, spacing = start[:, order], goal[:, order], np.asarray(spacing)[order]
    low = start.min(axis=0)
    start, goal = start - low, goal - low
    size = start.max(axis=0) + 1
    steps, corner = _along_third(goal, int(size[2]))
    planes = _along_second(steps, int(size[1]), int(corner[1]), spacing)
    return _along_first(start, planes, size, int(corner[0]), spacing[0])


def cost(start: np.ndarray, goal: np.ndarray) -> int:
    """Voxels that the transform passes over."""
    sizes = _sizes(start, goal)
    return _cost(sizes, _cheapest_order(sizes))


def steps_in_rows(goal: np.ndarray, length: int, offset: int) -> np.ndarray:
    """Steps along x from each of `length` positions to the nearest voxel set in the same row: (Z, Y, length) int32.

    `goal` (Z, Y, X) bool begins at position `offset`. A row without any has `FAR`, less a few steps.
    """
    first, last = min(0, offset), max(length, offset + goal.shape[2])
    inside, wanted = slice(offset - first, offset - first + goal.shape[2]), slice(-first, length - first)
    positions = np.arange(first, last, dtype=np.int32)
    steps = np.empty((*goal.shape[:2], length), dtype=np.int32)
    for slab, found in zip(goal, steps, strict=True):
        row = np.full((goal.shape[1], last - first), -FAR, dtype=np.int32)
        row[:, inside] = np.where(slab, positions[inside], np.int32(-FAR))
        np.subtract(positions[wanted], np.maximum.accumulate(row, axis=1)[:, wanted], out=found)
        row[row == -FAR] = FAR
        ahead = np.minimum.accumulate(row[:, ::-1], axis=1)[:, ::-1][:, wanted]
        np.minimum(found, ahead - positions[wanted], out=found)
    return steps


def _sizes(start: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Column by column: NumPy is slow along the first axis of (N, 3).
    return tuple(
        np.array([int(column.max()) - int(column.min()) + 1 for column in indices.T]) for indices in (start, goal)
    )


def _cheapest_order(sizes: tuple[np.ndarray, np.ndarray]) -> tuple[int, ...]:
    # Another order than the memory's has to be worth its jumps.
    best = min(itertools.permutations(range(3)), key=lambda axes: _cost(sizes, axes))
    return best if 2 * _cost(sizes, best) < _cost(sizes, (0, 1, 2)) else (0, 1, 2)


def _cost(sizes: tuple[np.ndarray, np.ndarray], axes: tuple[int, ...]) -> int:
    (s0, s1, s2), (g0, g1, g2) = (size[list(axes)] for size in sizes)
    return int(g0 * g1 * (s2 + (g2 if s2 > 1 else 0)) + g0 * (g1 + s1) * s2 + (g0 + s0 if g0 > 1 else 1) * s1 * s2)


def _along_third(goal: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps to the nearest goal within each row of the goal's box, at `length` positions, and the box's corner."""
    corner = goal.min(axis=0)
    inside = goal - corner
    size = inside.max(axis=0) + 1
    if length == 1:
        steps = np.full(size[0] * size[1], FAR, dtype=np.int32)
        np.minimum.at(steps, inside[:, 0] * size[1] + inside[:, 1], np.abs(goal[:, 2]).astype(np.int32))
        return steps.reshape(size[0], size[1], 1), corner
    mask = np.zeros(size, dtype=bool)
    mask[tuple(inside.T)] = True
    return steps_in_rows(mask, length, int(corner[2])), corner


def _along_second(steps: np.ndarray, length: int, corner: int, spacing: np.ndarray) -> np.ndarray:
    """Squared distances within each slice of the goal, at the start's (second, third): (slices, length * third)."""
    slices, _, width = steps.shape
    planes = np.empty((slices, length * width))
    batch = max(1, _LINES // width)
    for first in range(0, slices, batch):
        some_steps = steps[first : first + batch]
        filled = np.flatnonzero((some_steps[..., 0] < FAR // 2).any(axis=0))
        begin, end = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 1)
        lines = (some_steps[:, begin:end].transpose(1, 0, 2).reshape(end - begin, -1) * spacing[2]) ** 2
        found = lower_envelope(lines, corner + np.arange(begin, end), np.arange(length), spacing[1])
        some = found.shape[1] // width
        planes[first : first + some] = found.reshape(length, some, width).transpose(1, 0, 2).reshape(some, -1)
    return planes


def _along_first(start: np.ndarray, planes: np.ndarray, size: np.ndarray, corner: int, spacing: float) -> np.ndarray:
    """Squared distances at the voxels of `start` themselves."""
    column = start[:, 1] * size[2] + start[:, 2]
    if len(planes) == 1:
        return planes[0, column] + (spacing * (start[:, 0] - corner)) ** 2
    present = np.zeros(planes.shape[1], dtype=bool)
    present[column] = True
    columns, line = np.flatnonzero(present), np.cumsum(present, dtype=np.int32) - 1
    lowest = np.empty((size[0], columns.size))
    for first in range(0, columns.size, _LINES):
        heights = planes[:, columns[first : first + _LINES]]
        found = lower_envelope(heights, corner + np.arange(len(planes)), np.arange(size[0]), spacing)
        lowest[:, first : first + _LINES] = found
    return lowest[start[:, 0], line[column]]
