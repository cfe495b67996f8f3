"""How near a mask is to its reference: Dice, surface distances, volume, detection.

The surface of a mask is every voxel of it that has a face neighbour outside it, or that touches the image's edge (the
mask without its erosion at connectivity 1, as MedPy and MONAI have it). Distances run between voxel centres, in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage

from evaluation.metrics.surfaces import bounding_box, nearest_distances, surface_of

Mode = Literal["default", "challenge"]
MODES: tuple[Mode, ...] = ("default", "challenge")
HIGHER_IS_BETTER = ("dice",)
"""Metrics of which more is better; of all others less is."""
CHALLENGE_EMPTY_MM = 350.0
"""ASSD that the challenge's organisers give to an empty prediction."""


class SurfaceDistances(NamedTuple):
    """Distances in mm from each surface voxel of one mask to the other mask's surface, in no particular order."""

    prediction_to_reference: np.ndarray
    reference_to_prediction: np.ndarray

    def assd(self, mode: Mode = "default") -> float:
        """Average symmetric surface distance in mm.

        `default` averages the distances of both surfaces pooled (MedPy 0.5, MONAI); `challenge` averages the two
        directed means (MedPy 0.4.0, with which the challenge was scored). Raises ValueError for another mode.
        """
        totals = [float(part.sum()) for part in self]
        if check_mode(mode) == "challenge":
            return float(np.mean([total / part.size for total, part in zip(totals, self, strict=True)]))
        return sum(totals) / (self[0].size + self[1].size)

    def hd95_pooled(self) -> float:
        """95th percentile of the distances of both surfaces pooled, in mm: MedPy's `hd95`."""
        return float(np.percentile(np.concatenate(self), 95))

    def hd95_directed(self) -> float:
        """The larger of the two directed 95th percentiles, in mm: MONAI's `percentile=95`."""
        return float(max(np.percentile(part, 95) for part in self))


class Detection(NamedTuple):
    """Connected parts of a structure (26 neighbours): how many there are, were found, or are not there at all."""

    components: int
    """Of the reference."""
    found: int
    """Of the reference, with at least one voxel that the prediction has too."""
    false: int
    """Of the prediction, with no voxel that the reference has."""


def check_mode(mode: str) -> Mode:
    """`mode` itself. Raises ValueError where it is not one of `MODES`."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return mode


def dice(prediction_zyx: np.ndarray, reference_zyx: np.ndarray) -> float:
    """Dice coefficient of two masks (Z, Y, X); 1 where both are empty. Raises ValueError for unequal shapes."""
    prediction, reference = _as_masks(prediction_zyx, reference_zyx)
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0


def assd(
    prediction_zyx: np.ndarray,
    reference_zyx: np.ndarray,
    spacing_zyx: tuple[float, float, float],
    mode: Mode = "default",
) -> float:
    """Average symmetric surface distance in mm of two masks (Z, Y, X), by the empty rules of `mode`.

    Both empty: 0 in the default mode. Otherwise an empty mask costs `empty_distance`. Raises ValueError for unequal
    shapes or an unknown mode.
    """
    prediction, reference = _as_masks(prediction_zyx, reference_zyx)
    has_prediction, has_reference = bool(prediction.any()), bool(reference.any())
    if has_prediction and has_reference:
        return surface_distances(prediction, reference, spacing_zyx).assd(mode)
    if check_mode(mode) == "default" and has_prediction == has_reference:
        return 0.0
    return empty_distance(reference.shape, spacing_zyx, mode)


def detect(prediction_zyx: np.ndarray, reference_zyx: np.ndarray) -> Detection:
    """Count the connected parts of two masks (Z, Y, X) that meet. Raises ValueError for unequal shapes."""
    prediction, reference = _as_masks(prediction_zyx, reference_zyx)
    total, found = _parts(reference, prediction)
    predicted_total, met = _parts(prediction, reference)
    return Detection(total, found, predicted_total - met)


def boundary_voxels(one_zyx: np.ndarray, other_zyx: np.ndarray) -> np.ndarray:
    """Voxels of two masks (Z, Y, X) with a face neighbour in the other one, bool: where the two parts meet."""
    one, other = _as_masks(one_zyx, other_zyx)
    boundary = np.zeros(one.shape, dtype=bool)
    for axis in range(3):
        before = tuple(slice(None, -1) if index == axis else slice(None) for index in range(3))
        after = tuple(slice(1, None) if index == axis else slice(None) for index in range(3))
        meeting = (one[before] & other[after]) | (other[before] & one[after])
        boundary[before] |= meeting
        boundary[after] |= meeting
    return boundary


def voxel_distances(
    prediction_zyx: np.ndarray, reference_zyx: np.ndarray, spacing_zyx: tuple[float, float, float]
) -> SurfaceDistances:
    """As `surface_distances`, from every voxel of each set (Z, Y, X) to the other set, for sets that are surfaces."""
    return _distances(prediction_zyx, reference_zyx, spacing_zyx, np.asarray)


def empty_distance(shape_zyx: tuple[int, ...], spacing_zyx: tuple[float, ...], mode: Mode = "default") -> float:
    """Distance in mm that stands for a structure which only one of two masks holds.

    `challenge`: 350 mm. `default`: the length of the image's diagonal, which no pair of voxels can exceed.
    """
    if check_mode(mode) == "challenge":
        return CHALLENGE_EMPTY_MM
    return float(np.linalg.norm(np.multiply(shape_zyx, spacing_zyx)))


def surface_distances(
    prediction_zyx: np.ndarray, reference_zyx: np.ndarray, spacing_zyx: tuple[float, float, float]
) -> SurfaceDistances:
    """Distances in mm between the surfaces of two masks (Z, Y, X) whose voxels are `spacing_zyx` mm apart.

    The cost follows the masks and not the image: see `surfaces`. Raises ValueError where the shapes differ or a mask
    is empty.
    """
    return _distances(prediction_zyx, reference_zyx, spacing_zyx, surface_of)


def _distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_zyx: tuple, surface: Callable[[np.ndarray], np.ndarray]
) -> SurfaceDistances:
    masks = _as_masks(prediction, reference)
    spacing = np.asarray(spacing_zyx, dtype=float)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or (spacing < 0).any():
        raise ValueError(f"spacing_zyx must be three lengths in mm, got {spacing_zyx}")
    boxes = [bounding_box(mask) for mask in masks]
    if None in boxes:
        raise ValueError("an empty mask has no surface")
    surfaces = [surface(mask[box]) for mask, box in zip(masks, boxes, strict=True)]
    offset = np.array([there.start - here.start for here, there in zip(*boxes, strict=True)])
    return SurfaceDistances(
        nearest_distances(surfaces[0], surfaces[1], offset, spacing),
        nearest_distances(surfaces[1], surfaces[0], -offset, spacing),
    )


def _parts(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many connected parts `mask` has, and how many of them meet `other`: labelled in the box that holds them."""
    box = bounding_box(mask)
    if box is None:
        return 0, 0
    inside, others = mask[box], other[box]
    if inside.all():
        return 1, int(others.any())
    parts, total = ndimage.label(inside, np.ones((3, 3, 3), dtype=bool))
    met = np.zeros(total + 1, dtype=bool)
    met[parts[others]] = True
    return int(total), int(np.count_nonzero(met[1:]))


def _as_masks(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    masks = tuple(np.asarray(mask) for mask in (prediction, reference))
    if masks[0].shape != masks[1].shape or masks[0].ndim != 3:
        raise ValueError(f"masks must be 3-D and of one shape, got {masks[0].shape} and {masks[1].shape}")
    return tuple(mask if mask.dtype == bool else mask != 0 for mask in masks)
