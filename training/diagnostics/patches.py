"""How alike two images are in their small patches: a sliced Wasserstein distance over a Laplacian pyramid.

As Karras et al. 2018 (section 5) measure a generator's samples; here for single slices and parts of them, without
bringing the patches to one mean and spread: in a medical image intensity has a meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter, zoom

PATCH_PX = 7
DIRECTIONS = 128
QUANTILES = 256


def laplacian_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """`image` (Y, X) as bands, finest first; the last is what is left. The bands, upsampled, sum to the image.

    Raises ValueError for fewer than one level, or for an image too small for so many.
    """
    # The coarsest band must still hold a whole patch; each level halves the side.
    needed = PATCH_PX * 2 ** (max(levels, 1) - 1)
    if levels < 1 or min(image.shape) < needed:
        raise ValueError(f"{levels} levels need a side of {needed} px, got {image.shape}")

    bands = []
    current = image.astype(np.float64)
    for _ in range(levels - 1):
        blurred = gaussian_filter(current, 1.0, mode="nearest")
        coarse = blurred[::2, ::2]
        stretched = upsample(coarse, current.shape)
        bands.append(current - stretched)
        current = coarse
    bands.append(current)
    return bands


def upsample(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`image` (Y, X) stretched linearly to `shape`."""
    # As a ratio of sizes, since these need not be even.
    factors = np.divide(shape, image.shape).tolist()
    return zoom(image, factors, order=1, mode="nearest")


def patches_of(image: np.ndarray, centres: np.ndarray | None = None) -> np.ndarray:
    """All whole patches of `image` (Y, X), or those whose centre is set in `centres` (Y, X): (N, PATCH_PX²)."""
    windows = sliding_window_view(image, (PATCH_PX, PATCH_PX))  # (Y - 6, X - 6, 7, 7)

    if centres is not None:
        # A patch at the image's edge is not whole: its centre lies half a patch further in at least.
        half = PATCH_PX // 2
        whole = centres[half:-half, half:-half]
        windows = windows[whole]  # (N, 7, 7)
    return windows.reshape(-1, PATCH_PX**2)


def sliced_wasserstein(one: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> float:
    """Distance of two sets of patches: mean over random directions of the 1-D Wasserstein distance.

    Sets of different sizes are compared by their quantiles.

    Args:
        one: (N, D).
        other: (M, D).
        generator: What the directions are sampled with.

    Returns:
        The distance, in the unit of the patches' intensities.

    Raises:
        ValueError: A set is empty.
    """
    if not len(one) or not len(other):
        raise ValueError(f"both sets must hold a patch, got {len(one)} and {len(other)}")
    size = one.shape[1]
    # A normal sample, scaled to length 1, has no preferred direction.
    directions = generator.normal(size=(size, DIRECTIONS))
    lengths = np.linalg.norm(directions, axis=0)
    directions /= lengths

    # Along one direction the distance is that of sorted values; midpoints of equal shares, so that neither extreme
    # stands for more than its share.
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    first = np.quantile(one @ directions, shares, axis=0)  # (QUANTILES, DIRECTIONS)
    second = np.quantile(other @ directions, shares, axis=0)
    distances = np.abs(first - second)
    return float(distances.mean())


def pyramid_distance(one: np.ndarray, other: np.ndarray, levels: int, generator: np.random.Generator) -> list[float]:
    """Sliced Wasserstein distance of two images in each band of their pyramids.

    Args:
        one: (Y, X).
        other: (Y, X).
        levels: Number of bands.
        generator: What the directions are sampled with.

    Returns:
        A distance for each band, finest first.
    """
    distances = []
    bands = laplacian_pyramid(one, levels)
    other_bands = laplacian_pyramid(other, levels)
    for band, other_band in zip(bands, other_bands, strict=True):
        patches = patches_of(band)
        other_patches = patches_of(other_band)
        distance = sliced_wasserstein(patches, other_patches, generator)
        distances.append(distance)
    return distances
