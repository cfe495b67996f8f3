"""A tumour's voxels changed within labels that may have parts of a tumour."""

from __future__ import annotations

import numpy as np

from training.harmonisers.compositing import extend_core
from vestibule.editions import TUMOUR, Edition


def with_tumour(labels: np.ndarray, tumour: np.ndarray, edition: Edition) -> np.ndarray:
    """The same labels, with a tumour in these voxels alone.

    Args:
        labels: (Z, Y, X), with a tumour.
        tumour: Boolean, of the same shape: where a tumour is to be.
        edition: What labels mean. Where it has parts of a tumour, a new voxel joins the part that is nearest.

    Returns:
        New labels, of the same shape and type; voxels that leave the tumour become background.
    """
    before = edition.mask_of(labels, TUMOUR)
    after = labels.copy()
    after[before & ~tumour] = 0
    new = tumour & ~before
    after[new] = extend_core(labels, before)[new]
    return after
