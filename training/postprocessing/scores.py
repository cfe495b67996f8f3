"""Scores by which post-processing is chosen.

Those that are reported are in `evaluation/`, on which training does not depend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from vestibule.boxes import bounding_box

FAR_MM = 5.0
"""Mean surface distance above which a mask is a failure."""


@dataclass(frozen=True)
class Score:
    """How well a mask agrees with its reference, which is not empty."""

    dice: float
    """2|A ∩ B| / (|A| + |B|)."""
    assd_mm: float | None
    """Average symmetric surface distance; None where the mask is empty."""

    @property
    def failed(self) -> bool:
        """Whether the mask is empty, or far from its reference."""
        return self.assd_mm is None or self.assd_mm > FAR_MM


def score(mask: np.ndarray, reference: np.ndarray, spacing_zyx: tuple[float, float, float]) -> Score:
    """Score a mask.

    Args:
        mask: Bool (Z, Y, X).
        reference: Bool (Z, Y, X) with at least one voxel.
        spacing_zyx: Voxel size, mm.

    Returns:
        Its score.

    Raises:
        ValueError: The reference is empty.
    """
    true_voxels = int(reference.sum())
    if true_voxels == 0:
        raise ValueError("a reference without a voxel tells nothing")
    voxels = int(mask.sum())
    common = int((mask & reference).sum())
    dice = 2 * common / (voxels + true_voxels)
    if voxels == 0:
        return Score(dice, None)

    # Distances cost time by the voxel, and most of an image is far from both.
    box = bounding_box(mask | reference)
    surface = _surface(mask[box])
    true_surface = _surface(reference[box])
    to_reference = _mean_distance(surface, true_surface, spacing_zyx)
    to_mask = _mean_distance(true_surface, surface, spacing_zyx)
    # As the challenge has it: a small surface counts as much as a large one.
    assd_mm = (to_reference + to_mask) / 2
    return Score(dice, assd_mm)


def _surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask with a neighbour outside of it."""
    interior = binary_erosion(mask)
    return mask & ~interior


def _mean_distance(of: np.ndarray, to: np.ndarray, spacing_zyx: tuple[float, float, float]) -> float:
    """Mean distance of the voxels of one surface to the nearest of another, mm."""
    distances = distance_transform_edt(~to, sampling=spacing_zyx)
    return float(distances[of].mean())
