"""What a harmonised copy is compared with: the outlined tumour of the reference slice, or that slice as a whole.

Each look gives two numbers of a copy: how far its patches are from those of real T2, and how much of its shape is left.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from training.data.reference_slice import Reference, crop_range
from training.diagnostics.patches import patches_of, sliced_wasserstein
from training.gan.alignment import edge_directions
from training.harmonisers.compositing import Composite
from vestibule.errors import InputError

BORDER_PX = 2
"""Width of what is looked at along an outline, on either side of it."""
IN_PLANE = np.array([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))], dtype=bool)
"""A voxel and its eight neighbours in the slice, (3, 3, 3)."""


class Look(ABC):
    """What copies are to look like."""

    shape_kept: float
    """Share of the best shape among the levels that a level must have to be chosen."""

    @abstractmethod
    def measure(self, result: Composite, mask: np.ndarray) -> tuple[float, float]:
        """How far a copy's patches are from T2, and how much of its shape is kept.

        Args:
            result: Background, naive copy and harmonised copy, (Z, Y, X) in [-1, 1].
            mask: The copied structure, bool (Z, Y, X).

        Returns:
            The distance of patches, NaN where there is no whole one, and a share in [0, 1].
        """


@dataclass(frozen=True)
class TumourLook(Look):
    """The outlined tumour of the reference slice."""

    patches: np.ndarray
    """(N, PATCH_PX²), around its pixels."""
    low: float
    """Below its 1st percentile by its standard deviation."""
    high: float
    """Above its 99th by as much."""
    shape_kept: float = 0.9

    def measure(self, result: Composite, mask: np.ndarray) -> tuple[float, float]:
        """Distance of the patches inside the mask, and share of its border that is as bright as the tumour."""
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        by_slice = []
        for index in slices:
            own = patches_of(result.harmonised[index], mask[index])
            by_slice.append(own)
        patches = np.concatenate(by_slice)  # (N, PATCH_PX²)
        distance = distance_of(patches, self.patches) if len(patches) else math.nan
        shape = intensities_kept(result.harmonised, mask, self.low, self.high)
        return distance, shape


@dataclass(frozen=True)
class SliceLook(Look):
    """The reference slice as a whole, for where nobody knows which part of it is tumour."""

    image: np.ndarray
    """(Y, X) in [-1, 1]."""
    shape_kept: float = 0.5

    def measure(self, result: Composite, mask: np.ndarray) -> tuple[float, float]:
        """Distance of the patches of the largest section and all around it, and share of the copy's edges."""
        sections = mask.sum(axis=(1, 2))
        index = int(sections.argmax())
        # As much around the copy as the reference shows, so that both hold about as much of each tissue.
        window = window_around(mask[index], self.image.shape)
        patches = patches_of(result.harmonised[index][window])
        distance = distance_of(patches, patches_of(self.image))
        return distance, edges_kept(result, mask)


def look_of(reference: Reference, outlined: bool) -> Look:
    """The look to compare copies with.

    Args:
        reference: The reference slice.
        outlined: Whether to use its outlined tumour.

    Returns:
        Of the tumour, or else of the slice as a whole.

    Raises:
        InputError: The outline is to be used, and the slice shows no outlined tumour with a whole patch.
    """
    if not outlined:
        return SliceLook(reference.image)
    patches = patches_of(reference.image, reference.tumour)
    if not len(patches):
        raise InputError(
            f"{reference.case}, slice {reference.slice}: shows no outlined tumour to compare with; label it, or choose "
            "the level by --ignore-outline"
        )
    inside = reference.image[reference.tumour]
    darkest, brightest = np.percentile(inside, [1, 99])
    sd = float(inside.std())
    low = float(darkest) - sd
    high = float(brightest) + sd
    return TumourLook(patches, low, high)


def distance_of(patches: np.ndarray, wanted: np.ndarray) -> float:
    """Sliced Wasserstein distance of two sets of patches, (N, PATCH_PX²) and (M, PATCH_PX²)."""
    # The same directions for every level and case.
    generator = np.random.default_rng(0)
    return sliced_wasserstein(patches, wanted, generator)


def window_around(mask: np.ndarray, size_yx: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a part of `size_yx` pixels around `mask` (Y, X), moved inside the slice."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    y = crop_range(rows, height, size_yx[0])
    x = crop_range(columns, width, size_yx[1])
    return y, x


def intensities_kept(result: np.ndarray, mask: np.ndarray, low: float, high: float) -> float:
    """Share of the inside of a mask's outline, `BORDER_PX` voxels in plane, that has a structure's intensities.

    Args:
        result: Image, (Z, Y, X).
        mask: The structure, bool (Z, Y, X).
        low: The least of its intensities.
        high: The greatest.

    Returns:
        A share in [0, 1].
    """
    core = binary_erosion(mask, IN_PLANE, iterations=BORDER_PX)
    border = result[mask & ~core]
    alike = (border >= low) & (border <= high)
    return float(alike.mean())


def edges_kept(result: Composite, mask: np.ndarray) -> float:
    """How much of a copy's edges is left along its outline: 1 as in the naive copy, 0 as before the copy.

    An edge of the same direction counts, whatever its sign and height, as the normalised gradient field has it (Haber
    and Modersitzki 2006): a tumour that is bright on T1 may be dark on T2.

    Args:
        result: Background, naive copy and harmonised copy, (Z, Y, X).
        mask: The copied structure, bool (Z, Y, X).

    Returns:
        A share in [0, 1]; 0 where the copy has no edges that were not there before.
    """
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    inner = binary_erosion(mask, IN_PLANE, iterations=BORDER_PX)
    outer = binary_dilation(mask, IN_PLANE, iterations=BORDER_PX)
    band = outer & ~inner
    # Gradients lose a voxel on each side.
    band = band[slices, 1:-1, 1:-1]

    edges = {}
    for name in ("background", "naive", "harmonised"):
        image = getattr(result, name)[slices].astype(np.float32)
        batch = torch.from_numpy(image)[:, None]  # (S, 1, Y, X)
        edges[name] = edge_directions(batch).numpy()  # (S, 2, Y - 2, X - 2)

    common = {}
    for name, own in edges.items():
        product = (own * edges["naive"]).sum(axis=1)  # (S, Y - 2, X - 2)
        common[name] = float(np.square(product)[band].sum())
    added = common["naive"] - common["background"]
    if added <= 0:
        return 0.0
    kept = (common["harmonised"] - common["background"]) / added
    return float(np.clip(kept, 0, 1))
