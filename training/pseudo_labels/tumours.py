"""Tumours of pseudo-labels fitted to the image before they are learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.slices import PreparedCase
from training.pseudo_labels.edges import tumour_to_its_edges
from training.pseudo_labels.growing import grown_tumour
from vestibule.editions import Edition


def fit_tumours(cases: Sequence[PreparedCase], masks: Sequence[np.ndarray], edition: Edition) -> list[np.ndarray]:
    """Masks whose tumours have taken in what looks like them beside them, and then end at the image's edges.

    Args:
        cases: Real T2.
        masks: Of the cases, in their order, (Z, Y, X).
        edition: What labels mean.

    Returns:
        New masks, in the same order; other structures keep their voxels.
    """
    fitted = []
    for case, labels in zip(cases, masks, strict=True):
        image = np.asarray(case.image)
        grown = grown_tumour(image, labels, edition)
        fitted.append(tumour_to_its_edges(image, grown, case.spacing_zyx, edition))
    return fitted
