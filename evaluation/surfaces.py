"""Surfaces of masks and exact distances between them, at a cost that follows the masks and not the image.

Distances come from a separable transform (Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions",
2012): one pass an axis, each the lower envelope of parabolas. A pass reads only the box of the surface that distances
go to and answers only in the box of the surface that they start from, so two small masks cost the same wherever they
lie. Few points scattered over large boxes ask a k-d tree instead.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

Box = tuple[slice, slice, slice]

_FAR = 1e30
"""Squared distance of a line without a point: finite, so that differences of two of them stay numbers."""
_LINES = 8192
"""Lines whose envelopes are built together: enough to hide Python's overhead, few enough to stay in the cache."""
_VOXELS_PER_QUERY = 1000
"""Voxels that the transform passes over in the time of one slow query of the tree."""


def bounding_box(mask_zyx: np.ndarray) -> Box | None:
    """Smallest box that holds every non-zero voxel of `mask_zyx` (Z, Y, X) bool or integer; None for an empty one."""
    values = mask_zyx.view(np.uint8) if mask_zyx.dtype == bool else mask_zyx
    footprint = values.max(axis=0)
    rows, columns = (np.flatnonzero(footprint.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    y, x = (slice(int(hits[0]), int(hits[-1]) + 1) for hits in (rows, columns))
    slices = np.flatnonzero(values[:, y, x].max(axis=(1, 2)))
    return slice(int(slices[0]), int(slices[-1]) + 1), y, x


def surface_of(mask_zyx: np.ndarray) -> np.ndarray:
    """Voxels of `mask_zyx` (Z, Y, X) bool with a face neighbour outside the mask or outside the array, bool."""
    interior = mask_zyx[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for step in (slice(None, -2), slice(2, None)):
            interior &= mask_zyx[tuple(step if other == axis else slice(1, -1) for other in range(3))]
    surface = mask_zyx.copy()
    surface[1:-1, 1:-1, 1:-1] &= ~interior
    return surface


def nearest_distances(
    source: np.ndarray, target: np.ndarray, offset_zyx: np.ndarray, spacing_zyx: np.ndarray
) -> np.ndarray:
    """Distance in mm from each voxel set in `source` to the nearest one set in `target`, in the order of `source`.

    `source` and `target` are boxes (Z, Y, X) bool of one grid, neither empty; `target` begins `offset_zyx` voxels after
    `source`. Returns float64, one for each voxel set.
    """
    points = np.flatnonzero(source)
    if points.size * _VOXELS_PER_QUERY < _passed_over(source.shape, target.shape):
        tree = cKDTree((np.argwhere(target) + offset_zyx) * spacing_zyx)
        return tree.query(np.argwhere(source) * spacing_zyx)[0]
    planes = _distances_in_planes(source, target, offset_zyx, spacing_zyx)
    return np.sqrt(_along_z(source, planes, offset_zyx[0], spacing_zyx[0]))


def _passed_over(source_shape: tuple[int, ...], target_shape: tuple[int, ...]) -> int:
    (sz, sy, sx), (tz, ty, _) = source_shape, target_shape
    return tz * (ty + sy) * sx + (tz + sz) * sy * sx


def _distances_in_planes(source: np.ndarray, target: np.ndarray, offset: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Squared distances within each target slice, at the source's (y, x): (target Z, source Y * source X)."""
    (_, sy, sx), (tz, ty, _) = source.shape, target.shape
    found = np.empty((tz, sy * sx))
    batch = max(1, _LINES // sx)
    for start in range(0, tz, batch):
        rows = _distances_in_rows(target[start : start + batch], sx, int(offset[2])) * spacing[2]
        lines = np.minimum(rows**2, _FAR).transpose(1, 0, 2).reshape(ty, -1)
        envelope = _lower_envelope(lines, offset[1] + np.arange(ty), np.arange(sy), spacing[1])
        count = rows.shape[0]
        found[start : start + count] = envelope.reshape(sy, count, sx).transpose(1, 0, 2).reshape(count, -1)
    return found


def _distances_in_rows(target: np.ndarray, length: int, offset: int) -> np.ndarray:
    """Steps along x from each of `length` positions to the nearest voxel set in the same row: (Z, Y, length)."""
    first, last = min(0, offset), max(length, offset + target.shape[2])
    steps = np.arange(first, last, dtype=np.float64)
    row = np.full((*target.shape[:2], last - first), -_FAR)
    inside = slice(offset - first, offset - first + target.shape[2])
    row[..., inside] = np.where(target, steps[inside], -_FAR)
    wanted = slice(-first, length - first)
    behind = steps[wanted] - np.maximum.accumulate(row, axis=2)[..., wanted]
    row[row == -_FAR] = _FAR
    ahead = np.minimum.accumulate(row[..., ::-1], axis=2)[..., ::-1][..., wanted] - steps[wanted]
    return np.minimum(behind, ahead)


def _along_z(source: np.ndarray, planes: np.ndarray, offset: int, spacing: float) -> np.ndarray:
    """Squared distances at the voxels set in `source`, in their order."""
    columns = source.reshape(source.shape[0], -1)
    wanted = np.flatnonzero(columns.any(axis=0))
    found = np.empty((source.shape[0], wanted.size))
    for start in range(0, wanted.size, _LINES):
        lines = planes[:, wanted[start : start + _LINES]]
        positions = offset + np.arange(len(planes)), np.arange(len(source))
        found[:, start : start + _LINES] = _lower_envelope(lines, *positions, spacing)
    return found[columns[:, wanted]]


def _lower_envelope(heights: np.ndarray, at: np.ndarray, wanted: np.ndarray, spacing: float) -> np.ndarray:
    """min over j of heights[j] + (spacing * (wanted - at[j]))^2, for each of the lines in (N, lines): (M, lines)."""
    if spacing == 0:
        return np.broadcast_to(heights.min(axis=0), (len(wanted), heights.shape[1]))
    return _read_envelope(*_build_envelope(heights, at * spacing), wanted * spacing)


def _build_envelope(heights: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place, height and left end of each line's visible parabolas, from left to right: three (N + 1, lines)."""
    count, lines = heights.shape
    stack = tuple(np.full((count + 1, lines), np.inf) for _ in range(3))
    columns, top = np.arange(lines), np.zeros(lines, dtype=np.intp)
    current = [np.full(lines, places[0]), heights[0].copy(), np.full(lines, -np.inf)]
    for level, values in zip(stack, current, strict=True):
        level[0] = values
    for place, height in zip(places[1:], heights[1:], strict=True):
        cross = _crossing(place, height, *current[:2])
        hidden = np.flatnonzero(cross <= current[2])
        while hidden.size:
            top[hidden] -= 1
            below = top[hidden], hidden
            for values, level in zip(current, stack, strict=True):
                values[hidden] = level[below]
            cross[hidden] = _crossing(place, height[hidden], current[0][hidden], current[1][hidden])
            hidden = hidden[cross[hidden] <= current[2][hidden]]
        top += 1
        current = [np.full(lines, place), height.copy(), cross]
        for level, values in zip(stack, current, strict=True):
            level[top, columns] = values
    stack[2][top + 1, columns] = np.inf
    return stack


def _crossing(right: float, right_height: np.ndarray, left: np.ndarray, left_height: np.ndarray) -> np.ndarray:
    return ((right_height - left_height) / (right - left) + right + left) / 2


def _read_envelope(places: np.ndarray, heights: np.ndarray, starts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    found = np.empty((len(wanted), places.shape[1]))
    level = np.zeros(places.shape[1], dtype=np.intp)
    place, height, end = places[0].copy(), heights[0].copy(), starts[1].copy()
    for row, position in zip(found, wanted, strict=True):
        passed = np.flatnonzero(end < position)
        while passed.size:
            level[passed] += 1
            here = level[passed], passed
            place[passed], height[passed] = places[here], heights[here]
            end[passed] = starts[here[0] + 1, passed]
            passed = passed[end[passed] < position]
        np.subtract(position, place, out=row)
        row *= row
        row += height
    return found
