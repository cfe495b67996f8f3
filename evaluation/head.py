"""Where the head is in an image, coarsely: enough to see that a mask lies in the air."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vestibule.volume import Volume

COARSE_MM = 3.0
"""The head is sought among voxels about so far apart."""


def inside_head(image: Volume) -> np.ndarray:
    """Voxels (Z, Y, X) bool between tissue along a row or a column of their slice, so that air in the head is in it.

    What is brighter than half the mean above the darkest percent is tissue, whatever the contrast; of that the largest
    connected part is the head. All of an image without contrast is inside.
    """
    steps = [max(1, round(COARSE_MM / spacing)) for spacing in image.geometry.spacing_zyx]
    coarse = ndimage.uniform_filter(image.voxels, steps)[tuple(slice(None, None, step) for step in steps)]
    coarse = coarse - np.percentile(coarse, 1)
    parts, count = ndimage.label(coarse > 0.5 * coarse.mean())
    if count == 0:
        return np.ones(image.voxels.shape, dtype=bool)
    head = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    slices_axis = int(np.argmax(image.geometry.spacing_zyx))
    for axis in range(3):
        if axis != slices_axis:
            head = head | (_seen_before(head, axis) & np.flip(_seen_before(np.flip(head, axis), axis), axis))
    for axis, (step, size) in enumerate(zip(steps, image.voxels.shape, strict=True)):
        head = np.repeat(head, step, axis=axis).take(np.arange(size), axis=axis)
    return head


def _seen_before(mask: np.ndarray, axis: int) -> np.ndarray:
    return np.maximum.accumulate(mask, axis=axis)
