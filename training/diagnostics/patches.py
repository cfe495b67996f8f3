"""How alike two images are in their small patches: a sliced Wasserstein distance over a Laplacian pyramid.

As Karras et al. 2018 (section 5) measure a generator's samples; here for single slices and parts of them, without
bringing the patches to one mean and spread: in a medical image intensity has a meaning.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

PATCH_PX = 7
DIRECTIONS = 128
QUANTILES = 256


def laplacian_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """`image` (Y, X) as bands, finest first; the last is what is left. The bands, upsampled, sum to the image.

    Raises ValueError for fewer than one level, or for an image too small for so many.
    """
    if levels < 1 or min(image.shape) < PATCH_PX * 2 ** (levels - 1):
        raise ValueError(f"{levels} levels need a side of {PATCH_PX * 2 ** (max(levels, 1) - 1)} px, got {image.shape}")
    bands, current = [], image.astype(np.float64)
    for _ in range(levels - 1):
        coarse = gaussian_filter(current, 1.0, mode="nearest")[::2, ::2]
        bands.append(current - upsample(coarse, current.shape))
        current = coarse
    return [*bands, current]


def upsample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`image` (Y, X) stretched linearly to `shape`."""
    return zoom(image, [full / part for full, part in zip(shape, image.shape, strict=True)], order=1, mode="nearest")


def patches_of(image: np.ndarray, centres: np.ndarray | None = None) -> np.ndarray:
    """All whole patches of `image` (Y, X), or those whose centre is set in `centres` (Y, X): (N, PATCH_PX²)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH_PX, PATCH_PX))
    if centres is None:
        return windows.reshape(-1, PATCH_PX**2)
    half = PATCH_PX // 2
    return windows[centres[half:-half, half:-half]].reshape(-1, PATCH_PX**2)


def sliced_wasserstein(one: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> float:
    """Distance of two sets of patches (N, D) and (M, D): mean over random directions of the 1-D Wasserstein distance.

    Sets of different sizes are compared by their quantiles. Raises ValueError where a set is empty.
    """
    if not len(one) or not len(other):
        raise ValueError(f"both sets must hold a patch, got {len(one)} and {len(other)}")
    directions = generator.normal(size=(one.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    quantiles = [np.quantile(patches @ directions, places, axis=0) for patches in (one, other)]
    return float(np.abs(quantiles[0] - quantiles[1]).mean())


def pyramid_distance(one: np.ndarray, other: np.ndarray, levels: int, generator: np.random.Generator) -> list[float]:
    """Sliced Wasserstein distance of two images (Y, X) in each band of their pyramids, finest first."""
    bands = zip(laplacian_pyramid(one, levels), laplacian_pyramid(other, levels), strict=True)
    return [sliced_wasserstein(patches_of(first), patches_of(second), generator) for first, second in bands]
