"""Putting a structure of one image into another: copy, matched intensity, rim, soft edge, gradients.

Where the copy is to look otherwise, a function of its slices is given; of what kind it is makes no difference here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from training.config import TransferConfig
from training.data.reference_slice import Reference
from training.harmonisers.poisson import poisson_blend
from vestibule.boxes import Box, bounding_box, widened
from vestibule.errors import InputError

Harmonise = Callable[[np.ndarray], np.ndarray]
"""Slices (Z, Y, X) in [-1, 1] -> the same with another look."""

MARGIN_PX = 16
"""Context around the structure that is harmonised with it; more than half of what a SinGAN's finest scales see."""
REACH = 3
"""Standard deviations at which a soft edge and a rim end."""


IN_PLANE_CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
"""A voxel and its four neighbours in the slice, (1, 3, 3)."""


@dataclass(frozen=True)
class Intensity:
    """Mean and standard deviation of a structure's intensities in [-1, 1]."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Composite:
    """A structure put into a background, all (Z, Y, X) float32 in [-1, 1]."""

    background: np.ndarray
    """As it was given."""
    naive: np.ndarray
    """With the structure copied as it is."""
    harmonised: np.ndarray
    """The result."""
    entered: np.ndarray
    """With the copy as it enters the harmoniser: its intensities matched, its outermost voxels in part."""


def composite(
    source: np.ndarray,
    mask: np.ndarray,
    background: np.ndarray,
    settings: TransferConfig,
    target: Intensity | None = None,
    harmonise: Harmonise | None = None,
) -> Composite:
    """Copy a structure into a background, and harmonise the copy.

    Args:
        source: Image with the structure, float32 (Z, Y, X) in [-1, 1].
        mask: The structure, bool (Z, Y, X).
        background: Image that it goes into, float32 (Z, Y, X) in [-1, 1].
        settings: Blending, rim and edge.
        target: What the copy's intensities are matched to; None: they stay as they are.
        harmonise: Applied to the slices of the structure and what lies around it; None: the copy stays as it is.

    Returns:
        The result and what it is made of. Voxels farther from the mask than rim and soft edge, and with `poisson` all
        outside it, are bit-identical to the background's.

    Raises:
        ValueError: The shapes differ.
    """
    if not source.shape == mask.shape == background.shape:
        shapes = source.shape, mask.shape, background.shape
        raise ValueError(f"source, mask and background must have one shape, got {shapes}")
    naive = np.where(mask, source, background)
    if not mask.any() or settings.blending == "none":
        return Composite(background, naive, background.copy(), background)

    core = core_of(mask) if settings.rim_px else mask
    matched = match_intensity(source, core, target) if target else source
    box = _box_around(mask)
    around = background[box]
    inside = mask[box]
    copy = matched[box]

    if settings.blending == "poisson" and harmonise is None:
        # Gradients across the border are to be the copy's own.
        patch = copy
        entering = np.where(inside, copy, around)
    else:
        filled = extend_core(copy, core[box])
        share = partial_volume(inside, settings.rim_px)
        patch = mix(around, filled, share)
        entering = patch

    # The harmoniser sees the copy with what lies around it, and its result replaces the structure alone.
    if harmonise is not None:
        replaced = harmonise(patch)
        share = soft_edge(inside, settings.edge_px)
        patch = mix(around, replaced, share)

    # Gradients come last: they keep what the harmoniser made of the copy's texture, and drop its level.
    if settings.blending == "poisson":
        blended = poisson_blend(patch, inside, around)
        patch = np.where(inside, blended.clip(-1, 1), around)

    entered = background.copy()
    entered[box] = entering
    harmonised = background.copy()
    harmonised[box] = patch
    return Composite(background, naive, harmonised, entered)


def core_of(mask: np.ndarray) -> np.ndarray:
    """Voxels of `mask` (Z, Y, X) whose four neighbours in the slice belong to it too; `mask` where there are none."""
    # What the field of view cuts has no border there.
    core = binary_erosion(mask, IN_PLANE_CROSS, border_value=1)
    return core if core.any() else mask


def extend_core(values: np.ndarray, core: np.ndarray) -> np.ndarray:
    """`values` (Z, Y, X) with those outside `core` replaced by that of the nearest voxel in it."""
    nearest = distance_transform_edt(~core, return_distances=False, return_indices=True)  # (3, Z, Y, X)
    return values[tuple(nearest)]


def partial_volume(mask: np.ndarray, rim_px: float) -> np.ndarray:
    """Share of the structure in each voxel (Z, Y, X): `mask`, blurred within its slices by `rim_px` voxels."""
    sigma = (0, rim_px, rim_px)
    return gaussian_filter(mask.astype(np.float32), sigma, mode="nearest", truncate=REACH)


def mix(around: np.ndarray, inside: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`inside` by its `share` in [0, 1] and `around` by the rest; bit-identical to `around` where the share is 0."""
    mixed = around + share * (inside - around)
    # Even a share of 0 would turn -0.0 into 0.0 and carry NaN along.
    return np.where(share > 0, mixed, around)


def match_intensity(source: np.ndarray, mask: np.ndarray, target: Intensity) -> np.ndarray:
    """`source`, scaled so that inside `mask` it has the mean and spread of `target`, clipped to [-1, 1]; float32."""
    inside = source[mask]
    mean = float(inside.mean())
    sd = float(inside.std())
    # A structure of one intensity has no spread to be scaled.
    gain = target.sd / sd if sd > 1e-6 else 0.0
    scaled = (source - mean) * gain + target.mean
    clipped = np.clip(scaled, -1, 1)
    return clipped.astype(np.float32)


def soft_edge(mask: np.ndarray, edge_px: float) -> np.ndarray:
    """Weight in [0, 1] (Z, Y, X): 1 on `mask`, falling as a Gaussian around it within its slices, 0 beyond three sd."""
    if edge_px <= 0 or not mask.any():
        return mask.astype(np.float32)
    # Slices lie so far apart that the nearest voxel of the mask is one of the same slice.
    distance = distance_transform_edt(~mask, sampling=(1e6, 1.0, 1.0))
    in_sd = distance / edge_px
    weight = np.exp(-0.5 * in_sd**2)
    within_reach = distance <= REACH * edge_px
    weight = np.where(within_reach, weight, 0.0)
    return weight.astype(np.float32)


def target_intensity(settings: TransferConfig, reference: Reference) -> Intensity | None:
    """What a copy's intensities are matched to, by the configured rule; None where they stay as they are.

    Raises InputError where the rule asks for the reference slice's tumour and that shows none.
    """
    if settings.intensity == "none":
        return None
    if not reference.tumour.any():
        raise InputError(
            f"transfer.intensity 'reference' needs a labelled tumour in the reference slice "
            f"({reference.case}, slice {reference.slice}); label it, choose another slice, or set 'none'"
        )
    measured = reference.tumour
    if settings.rim_px:
        (measured,) = core_of(reference.tumour[None])
    inside = reference.image[measured]
    mean = float(inside.mean())
    sd = float(inside.std())
    return Intensity(mean, sd)


def _box_around(mask: np.ndarray) -> Box:
    """The box of `mask` (Z, Y, X) with a margin within its slices."""
    occupied = bounding_box(mask)
    if occupied is None:
        raise ValueError("the mask is empty, and has no box")
    return widened(occupied, (0, MARGIN_PX, MARGIN_PX), mask.shape)
