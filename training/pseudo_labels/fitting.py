"""Cochleae of pseudo-labels brought to the volume that they have on T1, where the image is brightest.

A translation may draw a cochlea smaller than its label. A segmenter that learns from such images marks more than it
sees, on real T2, too. But a cochlea's volume varies little from person to person, which the labels of T1 tell, and its
fluid is bright on T2 beside dark bone. Both together put such a mask right without a label of T2. Our method.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from scipy.ndimage import gaussian_filter

from training.data.slices import PreparedCase
from training.pseudo_labels.anatomy import labelled_volumes
from vestibule.editions import COCHLEA, Edition
from vestibule.files import atomic

FOLDER = "fitted"
"""Of the masks that are learnt from, within the round's folder."""
BLUR_MM = 1.2
"""Standard deviation of the Gaussian that tells how near a voxel lies to the mask. Our choice."""
REACH = 0.05
"""Least value of the blurred mask at which a voxel can belong to the cochlea. Our choice."""


def typical_volume(cases: Iterable[PreparedCase], edition: Edition) -> float | None:
    """Median volume of the cochleae over labelled cases, mm³; None where no case has any.

    Args:
        cases: Labelled cases; copies that share a label count once.
        edition: What labels mean.
    """
    volumes = labelled_volumes(cases, edition).get(COCHLEA)
    return median(volumes) if volumes else None


def write_fitted(case: PreparedCase, volume: float | None, edition: Edition, folder: Path) -> PreparedCase:
    """A case with a mask whose cochleae have a given volume.

    Args:
        case: Real T2 with a pseudo-label.
        volume: Of both cochleae, mm³; None: they stay as they are.
        edition: What labels mean.
        folder: Where the new mask is written, uint8 (Z, Y, X).

    Returns:
        The case with the new mask in place of the other.
    """
    folder.mkdir(exist_ok=True)
    fitted = np.asarray(case.labels)
    if volume is not None:
        image = np.asarray(case.image, dtype=np.float32)
        fitted = fit_cochleae(fitted, image, case.spacing_zyx, volume / 2, edition)
    path = folder / f"{case.name}.npy"
    with atomic(path) as partial:
        np.save(partial, fitted)
    return replace(case, label_path=path)


def fit_cochleae(
    labels: np.ndarray, image: np.ndarray, spacing_zyx: tuple[float, float, float], volume: float, edition: Edition
) -> np.ndarray:
    """Labels whose cochleae have a given volume, on each side of the head where there is one.

    Those voxels are taken that are nearest to the mask and brightest: the blurred mask times the square root of the
    brightness. Other structures keep their voxels. A cochlea that would have to reach too far stays smaller.

    Args:
        labels: (Z, Y, X).
        image: T2 in [-1, 1] of the same shape; its middle column lies between the sides of the head.
        spacing_zyx: Of both, mm.
        volume: Of a cochlea, mm³.
        edition: What labels mean.

    Returns:
        New labels of the same shape and type.
    """
    mask = edition.mask_of(labels, COCHLEA)
    is_free = mask | (labels == 0)
    brightness = np.clip((image + 1) / 2, 0, 1)
    (value,) = edition.values_of(COCHLEA)

    voxels = round(volume / float(np.prod(spacing_zyx)))
    blur = [BLUR_MM / spacing for spacing in spacing_zyx]

    fitted = np.where(mask, 0, labels)
    middle = mask.shape[2] // 2
    for side in (slice(None, middle), slice(middle, None)):
        cochlea = np.zeros(mask.shape, dtype=np.float32)
        cochlea[:, :, side] = mask[:, :, side]
        if not cochlea.any():
            continue
        near = gaussian_filter(cochlea, blur)
        score = near * np.sqrt(brightness)
        candidates = np.flatnonzero(is_free & (near >= REACH))
        # Stable, so that of equal voxels the same are taken on every machine.
        order = np.argsort(-score.flat[candidates], kind="stable")
        chosen = candidates[order[:voxels]]
        fitted.flat[chosen] = value
    return fitted.astype(labels.dtype)
