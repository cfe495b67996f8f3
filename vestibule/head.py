"""The outline of a head in an image, on coarse voxels and whatever the contrast: T1, T2, with fat or without."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from vestibule.components import largest_part
from vestibule.geometry import settled
from vestibule.volume import Volume

COARSE_MM = 3.0
"""The head is sought on voxels of about this size."""

Sampling = Literal["blocks", "points"]


def head_outline(image: Volume, sampling: Sampling) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Find the head as the largest connected part that is brighter than half the mean above the darkest percent.

    Half of the mean lies between air and the dimmest tissue, whatever the contrast and however bright the fat.

    Args:
        image: An image of a head in any orientation.
        sampling: How voxels are made coarse. `blocks`: means over whole blocks, smoothed, for an outline to measure;
            what fills no whole block at the far ends is left out. `points`: running means at every block's first voxel,
            for an outline to lay back over the image; every voxel belongs to a block.

    Returns:
        The head as bool (Z, Y, X) on the coarse voxels, without any where nothing stands out, and how many voxels of
        the image a coarse one stands for along z, y and x.
    """
    spacing_mm = np.asarray(settled(image.geometry.spacing_zyx))
    steps = np.rint(COARSE_MM / spacing_mm).astype(int)
    steps = np.maximum(steps, 1)

    if sampling == "blocks":
        # No block may be larger than the image, or there would be none.
        steps = np.minimum(steps, image.geometry.size_zyx)
        means = _block_means(image.voxels, steps)
        coarse = _above_darkest(means)
        # Half a coarse voxel, and less along an axis whose voxels are larger anyway.
        coarse_mm = spacing_mm * steps
        sigma = np.minimum(0.5, COARSE_MM / 2 / coarse_mm)
        coarse = ndimage.gaussian_filter(coarse, sigma)
    else:
        step_z, step_y, step_x = steps.tolist()
        means = ndimage.uniform_filter(image.voxels, (step_z, step_y, step_x))
        coarse = _above_darkest(means[::step_z, ::step_y, ::step_x])

    # Below it lies air with its noise.
    tissue = coarse > 0.5 * coarse.mean()
    return largest_part(tissue), tuple(steps.tolist())


def _block_means(voxels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Means over blocks of `steps` voxels (z, y, x), float32; an incomplete block at the end is left out."""
    coarse = voxels
    for axis, step in enumerate(steps):
        along = np.moveaxis(coarse, axis, 0)
        blocks = len(along) // step
        stop = blocks * step

        # One addition a step: as fast as a sum over a further axis, without the copy.
        total = along[0:stop:step].astype(np.float32)
        for offset in range(1, step):
            total += along[offset:stop:step]
        means = total / np.float32(step)
        coarse = np.moveaxis(means, 0, axis)
    return coarse


def _above_darkest(coarse: np.ndarray) -> np.ndarray:
    """Intensities above those of the darkest percent of the image, which is taken for air."""
    return coarse - np.percentile(coarse, 1)
