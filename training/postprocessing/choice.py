"""Which candidate is chosen in place of the default: one that is surely better, and the default where none is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from training.postprocessing.scores import Score

Name = TypeVar("Name", bound=Hashable)
SURE = 2.0
"""Standard errors by which a gain must lie above 0. Many candidates are compared, and one would do."""
EQUAL = 1e-9
"""Differences below it are rounding."""


def best_of(candidates: Mapping[Name, Sequence[Score]], default: Name) -> Name:
    """The candidate to use.

    Args:
        candidates: Scores of each on the same masks, in the same order; the default is one of them.
        default: What is used unless another is better.

    Returns:
        Of those that are better than the default, the one with the fewest failures, and of these the one with the
        highest mean Dice; the default where there is none.
    """
    standard = candidates[default]
    chosen = default
    fewest = failures(standard)
    highest = mean_dice(standard)
    for name, scores in candidates.items():
        if not is_better(scores, standard):
            continue
        failed = failures(scores)
        dice = mean_dice(scores)
        # One that shows in the distance alone is better than the default at the same Dice.
        is_first = chosen == default
        if is_first or failed < fewest or (failed == fewest and dice > highest):
            chosen = name
            fewest = failed
            highest = dice
    return chosen


def is_better(scores: Sequence[Score], standard: Sequence[Score]) -> bool:
    """Whether masks are surely better than the standard ones: by failures first, which govern the challenge's ASSD.

    With as many failures, either no mask is worse and one is better, or the mean gain in Dice is above `SURE` standard
    errors while the mean surface distance does not grow.

    Args:
        scores: Of the candidate.
        standard: Of the default, on the same cases.

    Returns:
        True where they are.
    """
    failed = failures(scores)
    failed_before = failures(standard)
    if failed != failed_before:
        return failed < failed_before

    gains = _gains(scores, standard)
    falls = _falls_mm(scores, standard)
    changes = np.concatenate([gains, falls])
    if not changes.size or changes.max() <= EQUAL:
        return False
    # What no case pays for needs no statistics.
    if changes.min() >= -EQUAL:
        return True

    if len(gains) < 2 or falls.mean() < -EQUAL:
        return False
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(gains.mean() > SURE * error)


def failures(scores: Sequence[Score]) -> int:
    """How many masks are empty or far from their references."""
    return sum(score.failed for score in scores)


def mean_dice(scores: Sequence[Score]) -> float:
    """Mean Dice; 0 where there is no mask."""
    if not scores:
        return 0.0
    values = [score.dice for score in scores]
    return float(np.mean(values))


def mean_assd_mm(scores: Sequence[Score]) -> float | None:
    """Mean surface distance of the masks that are not empty; None where there is none."""
    distances = []
    for score in scores:
        if score.assd_mm is not None:
            distances.append(score.assd_mm)
    if not distances:
        return None
    return float(np.mean(distances))


def _gains(scores: Sequence[Score], standard: Sequence[Score]) -> np.ndarray:
    """By how much Dice rises in each case."""
    gains = []
    for new, old in zip(scores, standard, strict=True):
        gain = new.dice - old.dice
        gains.append(gain)
    return np.array(gains)


def _falls_mm(scores: Sequence[Score], standard: Sequence[Score]) -> np.ndarray:
    """By how much the surface distance falls in each case; 0 where a mask is empty, which is a failure."""
    falls = []
    for new, old in zip(scores, standard, strict=True):
        fall = 0.0
        if new.assd_mm is not None and old.assd_mm is not None:
            fall = old.assd_mm - new.assd_mm
        falls.append(fall)
    return np.array(falls)
