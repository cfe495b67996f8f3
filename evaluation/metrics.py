"""How near a mask is to its reference: Dice, surface distances, volume, detection.

The surface of a mask is every voxel of it that has a face neighbour outside it, or that touches the image's edge (the
mask without its erosion at connectivity 1, as MedPy and MONAI have it). Distances run between voxel centres, in mm.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from evaluation.surfaces import bounding_box, nearest_distances, surface_of

Mode = Literal["default", "challenge"]
MODES: tuple[Mode, ...] = ("default", "challenge")
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
    prediction, reference = _as_masks(prediction_zyx, reference_zyx)
    spacing = np.asarray(spacing_zyx, dtype=float)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or (spacing < 0).any():
        raise ValueError(f"spacing_zyx must be three lengths in mm, got {spacing_zyx}")
    boxes = [bounding_box(mask) for mask in (prediction, reference)]
    if None in boxes:
        raise ValueError("an empty mask has no surface")
    surfaces = [surface_of(mask[box]) for mask, box in zip((prediction, reference), boxes, strict=True)]
    offset = np.array([there.start - here.start for here, there in zip(*boxes, strict=True)])
    return SurfaceDistances(
        nearest_distances(surfaces[0], surfaces[1], offset, spacing),
        nearest_distances(surfaces[1], surfaces[0], -offset, spacing),
    )


def _as_masks(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    masks = tuple(np.asarray(mask) for mask in (prediction, reference))
    if masks[0].shape != masks[1].shape or masks[0].ndim != 3:
        raise ValueError(f"masks must be 3-D and of one shape, got {masks[0].shape} and {masks[1].shape}")
    return tuple(mask if mask.dtype == bool else mask != 0 for mask in masks)
