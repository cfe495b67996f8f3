"""Distances between the surfaces of two masks: ASSD and HD95.

The surface of a mask is every voxel of it that has a face neighbour outside it, or that touches the image's edge (the
mask without its erosion at connectivity 1, as MedPy and MONAI have it). Distances run between voxel centres, in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from evaluation.metrics.base import MaskPair, Metric, Mode, as_masks, check_mode
from vestibule.boxes import bounding_box

CHALLENGE_EMPTY_MM = 350.0
"""ASSD that the challenge's organisers give to an empty prediction."""
DENSE_VOXELS_PER_POINT = 64
"""Sets of voxels are dense where their common box has at most so many voxels for each of theirs.

A k-d tree takes between 1 and 30 µs for a voxel, a distance transform about 0.1 µs for each voxel of the box.
"""


class SurfaceDistances(NamedTuple):
    """Distances in mm from each surface voxel of one mask to the other mask's surface, in no particular order."""

    prediction_to_reference: np.ndarray
    reference_to_prediction: np.ndarray

    def assd(self, mode: Mode = "default") -> float:
        """Average symmetric surface distance in mm.

        `default` averages the distances of both surfaces pooled (MedPy 0.5, MONAI); `challenge` averages the two
        directed means (MedPy 0.4.0, with which the challenge was scored). Raises ValueError for another mode.
        """
        check_mode(mode)
        forth, back = self
        forth_mm = float(forth.sum())
        back_mm = float(back.sum())
        if mode == "default":
            count = forth.size + back.size
            return (forth_mm + back_mm) / count

        # A small surface counts as much as a large one.
        forth_mean = forth_mm / forth.size
        back_mean = back_mm / back.size
        return float(np.mean([forth_mean, back_mean]))

    def hd95_pooled(self) -> float:
        """95th percentile of the distances of both surfaces pooled, in mm: MedPy's `hd95`."""
        pooled = np.concatenate(self)
        return float(np.percentile(pooled, 95))

    def hd95_directed(self) -> float:
        """The larger of the two directed 95th percentiles, in mm: MONAI's `percentile=95`."""
        forth, back = self
        forth_mm = np.percentile(forth, 95)
        back_mm = np.percentile(back, 95)
        return float(max(forth_mm, back_mm))


def assd(
    prediction_zyx: np.ndarray,
    reference_zyx: np.ndarray,
    spacing_zyx: tuple[float, float, float],
    mode: Mode = "default",
) -> float:
    """Average symmetric surface distance of two masks, by the empty rules of `mode`.

    Args:
        prediction_zyx: Mask (Z, Y, X); what is not zero is set.
        reference_zyx: Mask of the same shape.
        spacing_zyx: Distance of voxels along each axis in mm.
        mode: Which definition, see `SurfaceDistances.assd`.

    Returns:
        The distance in mm. 0 for two empty masks in the default mode; otherwise an empty mask costs `empty_distance`.

    Raises:
        ValueError: Unequal shapes or an unknown mode.
    """
    prediction, reference = as_masks(prediction_zyx, reference_zyx)
    check_mode(mode)
    has_prediction = bool(prediction.any())
    has_reference = bool(reference.any())
    if has_prediction and has_reference:
        distances = surface_distances(prediction, reference, spacing_zyx)
        return distances.assd(mode)

    both_empty = has_prediction == has_reference
    if mode == "default" and both_empty:
        return 0.0
    return empty_distance(reference.shape, spacing_zyx, mode)


def empty_distance(shape_zyx: tuple[int, ...], spacing_zyx: tuple[float, ...], mode: Mode = "default") -> float:
    """Distance that stands for a structure which only one of two masks holds.

    Args:
        shape_zyx: Voxels of the image along each axis.
        spacing_zyx: Distance of voxels along each axis in mm.
        mode: `challenge` or `default`.

    Returns:
        350 mm for `challenge`; for `default` the length of the image's diagonal, which no pair of voxels exceeds.

    Raises:
        ValueError: An unknown mode.
    """
    if check_mode(mode) == "challenge":
        return CHALLENGE_EMPTY_MM
    sides_mm = np.multiply(shape_zyx, spacing_zyx)
    diagonal_mm = np.linalg.norm(sides_mm)
    return float(diagonal_mm)


def surface_distances(
    prediction_zyx: np.ndarray, reference_zyx: np.ndarray, spacing_zyx: tuple[float, float, float]
) -> SurfaceDistances:
    """Distances between the surfaces of two masks; the cost follows the masks and not the image.

    Args:
        prediction_zyx: Mask (Z, Y, X); what is not zero is set.
        reference_zyx: Mask of the same shape.
        spacing_zyx: Distance of voxels along each axis in mm; 0 where an axis counts for nothing.

    Returns:
        The distances in mm, one for each voxel of either surface.

    Raises:
        ValueError: Unequal shapes, an empty mask, or a spacing that is no length.
    """
    return _distances(prediction_zyx, reference_zyx, spacing_zyx, surface_of)


def voxel_distances(
    prediction_zyx: np.ndarray, reference_zyx: np.ndarray, spacing_zyx: tuple[float, float, float]
) -> SurfaceDistances:
    """As `surface_distances`, from every voxel of each set (Z, Y, X) to the other set, for sets that are surfaces."""
    return _distances(prediction_zyx, reference_zyx, spacing_zyx, np.asarray)


def boundary_voxels(one_zyx: np.ndarray, other_zyx: np.ndarray) -> np.ndarray:
    """Voxels of two masks (Z, Y, X) with a face neighbour in the other one, bool: where the two parts meet."""
    one, other = as_masks(one_zyx, other_zyx)
    boundary = np.zeros(one.shape, dtype=bool)
    for axis in range(3):
        # Each voxel beside the one that follows it along the axis.
        before = [slice(None)] * 3
        after = [slice(None)] * 3
        before[axis] = slice(None, -1)
        after[axis] = slice(1, None)
        first, second = tuple(before), tuple(after)

        one_then_other = one[first] & other[second]
        other_then_one = other[first] & one[second]
        meeting = one_then_other | other_then_one
        boundary[first] |= meeting
        boundary[second] |= meeting
    return boundary


def surface_of(mask_zyx: np.ndarray) -> np.ndarray:
    """Voxels of `mask_zyx` (Z, Y, X) bool with a face neighbour outside the mask or outside the array, bool."""
    # Voxels at the array's edge are never inside, so that only those within it have all six neighbours to look at.
    inner = slice(1, -1)
    within = inner, inner, inner
    interior = mask_zyx[within].copy()
    before, after = slice(None, -2), slice(2, None)
    for axis in range(3):
        for neighbours in (before, after):
            moved = list(within)
            moved[axis] = neighbours
            interior &= mask_zyx[tuple(moved)]

    surface = mask_zyx.copy()
    surface[within] &= ~interior
    return surface


def nearest_distances(start: np.ndarray, goal: np.ndarray, spacing_zyx: np.ndarray) -> np.ndarray:
    """Distance from each voxel of one set to the nearest voxel of another.

    Sparse sets ask a k-d tree, whose cost follows the voxels; dense ones a distance transform of the box around both,
    which bounds time and memory by those of the image, however noisy the masks are. Both are exact.

    Args:
        start: Indices (N, 3) of the voxels that distances start from, integer.
        goal: Indices (M, 3) of the voxels that they go to.
        spacing_zyx: Distance of voxels along each axis in mm, (3,).

    Returns:
        Distances (N,) in mm, in the order of `start`.
    """
    counts = spacing_zyx > 0
    if not counts.all():
        # Along an axis of zero spacing, which a turned image has in the challenge's mode, all voxels are in one place.
        start = start * counts
        goal = goal * counts
        spacing_zyx = np.where(counts, spacing_zyx, 1.0)

    low, high = _box_of(start, goal)
    size = high - low + 1
    box_voxels = np.prod(size, dtype=np.int64)
    points = len(start) + len(goal)
    if box_voxels > DENSE_VOXELS_PER_POINT * points:
        return distances_by_tree(start, goal, spacing_zyx)
    return distances_by_transform(start, goal, spacing_zyx)


def distances_by_tree(start: np.ndarray, goal: np.ndarray, spacing_zyx: np.ndarray) -> np.ndarray:
    """As `nearest_distances`, by a k-d tree; no spacing is 0."""
    # Balancing a tree over voxels takes longer than it saves.
    goal_mm = goal * spacing_zyx
    tree = cKDTree(goal_mm, balanced_tree=False, compact_nodes=False)
    start_mm = start * spacing_zyx
    distances_mm, _ = tree.query(start_mm)
    return distances_mm


def distances_by_transform(start: np.ndarray, goal: np.ndarray, spacing_zyx: np.ndarray) -> np.ndarray:
    """As `nearest_distances`, by a distance transform; no spacing is 0."""
    low, high = _box_of(start, goal)
    size = high - low + 1

    # One number a voxel instead of three: masks of noise have 15 million.
    there = _flat(goal - low, size)  # (M,)
    outside = np.ones(size, dtype=bool)  # (Z, Y, X)
    outside.flat[there] = False

    # Indices alone: the transform's own distances of the whole box would take three times the memory.
    nearest = ndimage.distance_transform_edt(
        outside,
        sampling=spacing_zyx,
        return_distances=False,
        return_indices=True,
    )  # (3, Z, Y, X)

    here = _flat(start - low, size)  # (N,)
    squared_mm2 = np.zeros(len(start))
    for axis in range(3):
        found = nearest[axis].ravel()[here]
        own = start[:, axis] - low[axis]
        steps_mm = (found - own) * spacing_zyx[axis]
        squared_mm2 += steps_mm**2
    return np.sqrt(squared_mm2)


def _flat(indices: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Indices (N, 3) into an array of `size` as indices (N,) into the same array in one dimension."""
    z, y, x = indices.T
    return np.ravel_multi_index((z, y, x), tuple(size))


def _box_of(start: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest index along each axis, (3,) each, of two sets of voxels."""
    start_low, start_high = start.min(axis=0), start.max(axis=0)
    goal_low, goal_high = goal.min(axis=0), goal.max(axis=0)
    low = np.minimum(start_low, goal_low)
    high = np.maximum(start_high, goal_high)
    return low, high


def _distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_zyx: tuple, surface: Callable[[np.ndarray], np.ndarray]
) -> SurfaceDistances:
    prediction, reference = as_masks(prediction, reference)
    spacing = np.asarray(spacing_zyx, dtype=float)
    is_length = np.isfinite(spacing) & (spacing >= 0)
    if spacing.shape != (3,) or not is_length.all():
        raise ValueError(f"spacing_zyx must be three lengths in mm, got {spacing_zyx}")

    predicted = _indices(prediction, surface)  # (N, 3)
    expected = _indices(reference, surface)  # (M, 3)
    forth = nearest_distances(predicted, expected, spacing)
    back = nearest_distances(expected, predicted, spacing)
    return SurfaceDistances(forth, back)


def _indices(mask: np.ndarray, surface: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Indices (N, 3) int32 of the surface voxels of `mask` (Z, Y, X). Raises ValueError for an empty mask."""
    box = bounding_box(mask)
    if box is None:
        raise ValueError("an empty mask has no surface")
    # The surface of the crop is that of the whole: the mask ends where the box does.
    found = surface(mask[box])
    inside = np.argwhere(found)
    corner = [side.start for side in box]
    # Half the memory of NumPy's own integers, which counts where a mask is noise.
    indices = inside.astype(np.int32)
    indices += np.array(corner, dtype=np.int32)
    return indices


def distance_when_empty(pair: MaskPair) -> float:
    """Distance in mm where a mask is empty: 0 by default where both are, else `empty_distance` of the whole image."""
    if pair.mode == "default" and pair.is_empty:
        return 0.0
    whole = pair.geometry
    return empty_distance(whole.size_zyx, whole.spacing_zyx, pair.mode)


def _distances_of(pair: MaskPair) -> SurfaceDistances:
    return surface_distances(pair.prediction, pair.reference, pair.spacing_zyx)


def _assd(pair: MaskPair) -> float:
    distances = pair.shared(_distances_of)
    return distances.assd(pair.mode)


def _hd95_pooled(pair: MaskPair) -> float:
    distances = pair.shared(_distances_of)
    return distances.hd95_pooled()


def _hd95_directed(pair: MaskPair) -> float:
    distances = pair.shared(_distances_of)
    return distances.hd95_directed()


def _boundary_assd(pair: MaskPair) -> float | None:
    """ASSD between the boundaries where a structure's two parts meet; None for one that has no two parts."""
    if len(pair.parts) != 2:
        return None
    first, second = pair.parts
    predicted = boundary_voxels(first.prediction, second.prediction)
    expected = boundary_voxels(first.reference, second.reference)
    boundaries = replace(pair, prediction=predicted, reference=expected, parts=())
    # Parts that do not meet have an empty boundary, however full they are.
    if boundaries.has_empty_mask:
        return distance_when_empty(boundaries)

    distances = voxel_distances(predicted, expected, pair.spacing_zyx)
    return distances.assd(pair.mode)


ASSD = Metric(
    key="assd_mm",
    label="ASSD",
    unit="mm",
    digits=2,
    higher_is_better=False,
    compute=_assd,
    when_empty=distance_when_empty,
    headline=True,
)
HD95_POOLED = Metric(
    key="hd95_pooled_mm",
    label="HD95",
    unit="mm",
    digits=2,
    higher_is_better=False,
    compute=_hd95_pooled,
    when_empty=distance_when_empty,
    in_report=True,
    note="HD95 is of both surfaces pooled.",
)
HD95_DIRECTED = Metric(
    key="hd95_directed_mm",
    label="directed HD95",
    unit="mm",
    digits=2,
    higher_is_better=False,
    compute=_hd95_directed,
    when_empty=distance_when_empty,
)
BOUNDARY_ASSD = Metric("boundary_assd_mm", "boundary ASSD", "mm", 2, False, _boundary_assd)
