"""Where the head is in an image, coarsely: enough to see that a mask lies in the air."""

from __future__ import annotations

import numpy as np

from vestibule.head import head_outline
from vestibule.volume import Volume


def inside_head(image: Volume) -> np.ndarray:
    """Voxels (Z, Y, X) bool between tissue along a row or a column of their slice, so that air in the head is in it.

    What is brighter than half the mean above the darkest percent is tissue, whatever the contrast; of that the largest
    connected part is the head. All of an image without contrast is inside.
    """
    head, steps = head_outline(image, "points")
    if not head.any():
        return np.ones(image.voxels.shape, dtype=bool)
    slices_axis = int(np.argmax(image.geometry.spacing_zyx))
    for axis in range(3):
        if axis != slices_axis:
            head = head | (_seen_before(head, axis) & np.flip(_seen_before(np.flip(head, axis), axis), axis))
    for axis, (step, size) in enumerate(zip(steps, image.voxels.shape, strict=True)):
        head = np.repeat(head, step, axis=axis).take(np.arange(size), axis=axis)
    return head


def _seen_before(mask: np.ndarray, axis: int) -> np.ndarray:
    return np.maximum.accumulate(mask, axis=axis)
