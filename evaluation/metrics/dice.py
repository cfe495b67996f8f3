"""The Dice coefficient: twice the voxels that two masks share over the voxels that they have."""

from __future__ import annotations

import numpy as np

from evaluation.metrics.base import MaskPair, Metric, as_masks


def dice(prediction_zyx: np.ndarray, reference_zyx: np.ndarray) -> float:
    """Dice coefficient of two masks (Z, Y, X); 1 where both are empty. Raises ValueError for unequal shapes."""
    prediction, reference = as_masks(prediction_zyx, reference_zyx)
    predicted = np.count_nonzero(prediction)
    expected = np.count_nonzero(reference)
    total = predicted + expected
    if total == 0:
        return 1.0

    both = prediction & reference
    overlap = np.count_nonzero(both)
    return 2 * overlap / total


def dice_when_empty(pair: MaskPair) -> float:
    """1 where both masks are empty, but in the challenge's mode, whose empty prediction always scores 0."""
    if pair.mode == "default" and pair.is_empty:
        return 1.0
    return 0.0


def _dice(pair: MaskPair) -> float:
    return dice(pair.prediction, pair.reference)


DICE = Metric(
    key="dice",
    label="Dice",
    unit="",
    digits=3,
    higher_is_better=True,
    compute=_dice,
    when_empty=dice_when_empty,
    headline=True,
    limits=(0.0, 1.0),
    # The paper counts the cases whose Dice is above 0.8.
    good_above=0.8,
)
