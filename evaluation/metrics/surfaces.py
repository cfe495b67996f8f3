"""Surfaces of masks and exact distances between them, at a cost that follows the masks and not the image.

First, along each row of voxels, the steps to the nearest surface voxel are counted for every position. A point then
looks at the rows around its own, nearest first, until no further row can hold a nearer voxel. Points for which that
takes long ask a k-d tree where they are few, and the separable transform where they are many.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from evaluation.metrics.transform import cost, squared_distances, steps_in_rows

Box = tuple[slice, slice, slice]

_CHUNK = 2**15
"""Points that look around together: few enough to stay in the cache."""
_ROWS = 768
"""Rows that a point looks at before it leaves the search."""
_SAMPLE = 256
"""Points that are asked first how far many others would have to look."""
_LOOKS_PER_VOXEL = 12
"""Looks in the time that the transform takes for a voxel."""
_LOOKS_PER_QUERY = 600
"""Looks in the time that the tree takes for a point."""
_WORTH_DROPPING = 16
"""The others close ranks when one part in so many has found its voxel."""
_PAIRS_PER_VOXEL = 4
"""Points that a query of the tree looks at in the time that the transform takes for a voxel."""
_TREE_PAIRS = 64
"""What a query costs besides, and the tree for each of its points, in points looked at."""


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
    start: np.ndarray, goal: np.ndarray, offset_zyx: np.ndarray, spacing_zyx: np.ndarray
) -> np.ndarray:
    """Distance in mm from each voxel set in `start` to the nearest one set in `goal`, in the order of `start`.

    Both are boxes (Z, Y, X) bool of one grid, neither empty; `goal` begins `offset_zyx` voxels after `start`. Returns
    float64, one for each voxel set.
    """
    if spacing_zyx.min() == 0:
        # Whole lines fall together; only the challenge's spacing of a turned image comes to this.
        goal_points = np.unique((np.argwhere(goal) + offset_zyx) * spacing_zyx, axis=0)
        return cKDTree(goal_points).query(np.argwhere(start) * spacing_zyx)[0]
    points = np.flatnonzero(start)
    squared = _look_around(points, start.shape, goal, offset_zyx, spacing_zyx)
    far = np.flatnonzero(np.isnan(squared))
    if far.size:
        squared[far] = _far_distances(
            _indices(points[far], start.shape),
            _indices(np.flatnonzero(goal), goal.shape) + offset_zyx.astype(np.int32),
            spacing_zyx,
        )
    return np.sqrt(squared)


def _indices(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([index.astype(np.int32) for index in np.unravel_index(flat, shape)], axis=1)


def _far_distances(points: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Squared distances in mm2 from each of `points` (N, 3) to the nearest of `goal` (M, 3)."""
    squared = np.full(len(points), np.inf)
    for some in _flat_parts(points):
        for part in _flat_parts(goal):
            squared[some] = np.minimum(squared[some], _part_distances(points[some], goal[part], spacing))
    return squared


def _part_distances(points: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    affordable = _PAIRS_PER_VOXEL * cost(points, goal)
    if _TREE_PAIRS * len(goal) < affordable:
        tree = cKDTree(goal * spacing)
        if len(points) * (_TREE_PAIRS + _candidates(tree, points * spacing, spacing)) < affordable:
            return tree.query(points * spacing)[0] ** 2
    return squared_distances(points, goal, spacing)


def _candidates(tree: cKDTree, places: np.ndarray, spacing: np.ndarray) -> float:
    """How many points a query looks at, judged by a few: where all are about equally far, it looks at them all."""
    some = places[:: max(1, len(places) // 32)]
    leaf_mm = np.sqrt(tree.leafsize) * spacing.max()
    return float(np.mean(tree.query_ball_point(some, tree.query(some)[0] + leaf_mm, return_length=True)))


def _flat_parts(points: np.ndarray) -> list[np.ndarray]:
    """Indices of the points on those faces of their box that they cover by more than half, then of all others."""
    rest, parts = np.arange(len(points)), []
    low, high = points.min(axis=0), points.max(axis=0)
    sizes = high - low + 1
    for axis in range(3):
        for place in {int(low[axis]), int(high[axis])}:
            on_face = points[rest, axis] == place
            if 2 * np.count_nonzero(on_face) * sizes[axis] > np.prod(sizes, dtype=np.int64):
                parts.append(rest[on_face])
                rest = rest[~on_face]
    return [part for part in (*parts, rest) if part.size]


def _look_around(
    points: np.ndarray, shape: tuple[int, ...], goal: np.ndarray, offset: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """Squared distances of the points (flat indices into `shape`) that find theirs soon; NaN for the others."""
    rows, squared_radii = _nearest_rows(spacing[:2])
    margin = np.abs(rows).max(axis=0)
    steps = steps_in_rows(goal, shape[2], int(offset[2]))
    # Steps that are cut to 16 bits lie beyond the rows' reach all the same.
    cut = np.iinfo(np.int16).max
    padded = np.full((*(steps.shape[:2] + 2 * margin), shape[2]), cut, dtype=np.int16)
    inner = padded[margin[0] : padded.shape[0] - margin[0], margin[1] : padded.shape[1] - margin[1]]
    np.minimum(steps, cut, out=inner, casting="unsafe")
    jumps = (rows[:, 0] * padded.shape[1] + rows[:, 1]) * padded.shape[2]

    def search(some: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        row, x = np.divmod(some, shape[2])
        z, y = (index + move for index, move in zip(np.divmod(row, shape[1]), margin - offset[:2], strict=True))
        inside = (z >= margin[0]) & (z < padded.shape[0] - margin[0])
        inside &= (y >= margin[1]) & (y < padded.shape[1] - margin[1])
        places = np.where(inside, (z * padded.shape[1] + y) * padded.shape[2] + x, -1)
        return _search(places, padded.ravel(), jumps[:count], squared_radii[: count + 1], spacing[2])

    count = len(jumps)
    if points.size > _CHUNK:
        _, looks = search(points[:: points.size // _SAMPLE], count)
        count = _worthwhile_rows(looks, points.size, goal[..., 0].size * shape[2], count)
    squared = np.full(points.size, np.nan)
    for begin in range(0, points.size if count else 0, _CHUNK):
        squared[begin : begin + _CHUNK], _ = search(points[begin : begin + _CHUNK], count)
    return squared


def _worthwhile_rows(looks: np.ndarray, points: int, voxels: int, count: int) -> int:
    """Rows to look at, judged by the looks of some points (0 for one that found nothing): searching must pay."""
    most, left = 0, _LOOKS_PER_VOXEL * voxels
    for rows in np.unique(looks[looks > 0]):
        # Those still on their way pay for the other method, and for the looks that they had.
        lasting = np.mean((looks > rows) | (looks == 0))
        spent = points * np.mean(np.where(looks > 0, np.minimum(looks, rows), rows))
        price = spent + min(_LOOKS_PER_VOXEL * voxels, _LOOKS_PER_QUERY * lasting * points)
        if price < left:
            most, left = int(rows) if lasting else count, price
    return most


def _search(
    places: np.ndarray, steps: np.ndarray, jumps: np.ndarray, squared_radii: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """What each place (-1 for none) finds in the rows `jumps` away, nearest first, and the looks it took, or 0."""
    found, looks = np.full(places.size, np.nan), np.zeros(places.size, dtype=np.int64)
    active = np.flatnonzero(places >= 0)
    places, best = places[active], np.full(active.size, np.inf)
    radii = pairwise(squared_radii)
    for number, (jump, (radius, following)) in enumerate(zip(jumps, radii, strict=True), start=1):
        if not active.size:
            break
        seen = steps[places + jump] * spacing
        seen *= seen
        seen += radius
        np.minimum(best, seen, out=best)
        if following > radius:
            done = best <= following
            if _WORTH_DROPPING * np.count_nonzero(done) > done.size:
                found[active[done]] = best[done]
                looks[active[done]] = number
                active, places, best = active[~done], places[~done], best[~done]
    done = best <= squared_radii[-1]
    found[active[done]] = best[done]
    looks[active[done]] = len(jumps)
    return found, looks


def _nearest_rows(spacing_zy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (z, y) to the rows around a point, nearest first, and the squares of their distances and of one more."""
    reach = 32
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    squared = ((grid * spacing_zy) ** 2).sum(axis=1)
    order = np.argsort(squared, kind="stable")
    # Beyond the nearest row that the grid lacks, the order would have gaps.
    order = order[squared[order] < ((reach + 1) * spacing_zy.min()) ** 2][: _ROWS + 1]
    return grid[order[:-1]], squared[order]
