"""Tumours of pseudo-labels grown to where they end on the image.

A translation may leave out the bright rim of fluid around a tumour. A segmenter that learns from such images has not
seen where a tumour ends beside fluid, and marks less of it on real T2. But a tumour's own intensities tell: what lies
beside a mask and looks like its core belongs to it. Our method.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import median_abs_deviation

from training.harmonisers.compositing import IN_PLANE_CROSS, core_of
from training.pseudo_labels.relabel import with_tumour
from vestibule.editions import TUMOUR, Edition

ALIKE = 3.0
"""Standard deviations of the core within which an intensity is the tumour's: what statistics calls no outlier."""
LEAST_SPREAD = 0.03
"""Standard deviation on [-1, 1] that a core has at least: of noise, where a small one is even by chance. Our choice."""
LEAST_CORE = 8
"""Voxels below which a tumour has no core of its own."""


def grown_tumour(image: np.ndarray, labels: np.ndarray, edition: Edition) -> np.ndarray:
    """Labels whose tumour has taken in the voxels beside it, in plane, that look like its core.

    Args:
        image: T2 in [-1, 1], (Z, Y, X).
        labels: Of the same shape; nothing but background is taken in.
        edition: What labels mean. Where it has parts of a tumour, a voxel joins the part that is nearest.

    Returns:
        New labels, of the same shape and type.
    """
    tumour = edition.mask_of(labels, TUMOUR)
    if not tumour.any():
        return labels.copy()
    core = core_of(tumour)
    if core.sum() < LEAST_CORE:
        core = tumour

    values = image[core]
    middle = np.median(values)
    spread = max(median_abs_deviation(values, scale="normal"), LEAST_SPREAD)
    is_alike = np.abs(image - middle) < ALIKE * spread
    beside = ndimage.binary_dilation(tumour, IN_PLANE_CROSS) & (labels == 0)
    taken = beside & is_alike
    return with_tumour(labels, tumour | taken, edition)
