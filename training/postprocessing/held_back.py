"""Labelled cases that no fold is trained on, so that choices may be made on them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from training.data.slices import PreparedCase

SEED_STEP = 7_368_787
"""Keeps these random numbers apart from the run's others; any prime will do."""


def held_back(cases: Iterable[PreparedCase], count: int, seed: int) -> list[PreparedCase]:
    """The labelled cases that are kept from training.

    Altered copies of a case share its label, and are kept from training with it.

    Args:
        cases: Labelled cases of one domain, copies among them.
        count: Number of labels that are held back.
        seed: Of the run. With the labels' names it decides which.

    Returns:
        Those cases and their copies, in the order of `cases`.

    Raises:
        ValueError: None would be left.
    """
    _, held = split(cases, count, seed)
    return held


def remaining(cases: Iterable[PreparedCase], count: int, seed: int) -> list[PreparedCase]:
    """The cases without those of `held_back`. Raises ValueError where none would be left."""
    kept, _ = split(cases, count, seed)
    return kept


def split(cases: Iterable[PreparedCase], count: int, seed: int) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """The cases that are trained on, and those that are held back, both in the order of `cases`."""
    ordered = list(cases)
    if count == 0:
        return ordered, []
    labels = set()
    for case in ordered:
        label = _label_of(case)
        labels.add(label)

    # Sorted, so that neither the order of cases nor that of a set decides.
    names = sorted(labels)
    if count >= len(names):
        raise ValueError(f"of {len(names)} labelled cases, {count} cannot be held back")
    generator = np.random.default_rng(seed * SEED_STEP + 1)
    shuffled = generator.permutation(names)
    chosen = set(shuffled[:count])

    kept: list[PreparedCase] = []
    held: list[PreparedCase] = []
    for case in ordered:
        part = held if _label_of(case) in chosen else kept
        part.append(case)
    return kept, held


def _label_of(case: PreparedCase) -> str:
    """File name of a case's label. Raises ValueError for a case without one."""
    if case.label_path is None:
        raise ValueError(f"{case.name} has no label")
    return case.label_path.name
