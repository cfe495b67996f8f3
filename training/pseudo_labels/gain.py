"""What a round of self-training is worth, where T2 has references. They are looked at here, and nothing learns of them.

Phantoms have references of their training images; the challenge gives none.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.slices import PreparedCase
from training.postprocessing.choice import failures, mean_dice
from training.postprocessing.scores import Score, score
from vestibule.editions import Edition
from vestibule.files import atomic

TABLE = "rounds.csv"
"""What the masks of every round score."""
COLUMNS = (
    "round",
    "structure",
    "masks",
    "kept",
    "references",
    "failures",
    "dice",
    "dice_kept",
    "dice_dropped",
    "dice_found",
)


@dataclass(frozen=True)
class Gain:
    """Masks of one structure against their references."""

    structure: str
    masks: int
    """Masks of the round."""
    kept: int | None
    """Those that are learnt from; None in the last round, whose masks only show what it is worth."""
    references: int
    """Masks that have a reference with the structure."""
    failures: int
    """Of these, empty ones and those with an ASSD above 5 mm."""
    dice: float | None
    """Mean over these; None where there are none."""
    dice_kept: float | None
    """The same of those that are kept."""
    dice_dropped: float | None
    """The same of the others."""
    dice_found: float | None = None
    """Mean over the masks as the network found them, where they were changed since."""


def gain_of(
    masks: Sequence[PreparedCase],
    kept: Sequence[bool] | None,
    cases: Sequence[PreparedCase],
    edition: Edition,
    found: Sequence[PreparedCase] | None = None,
) -> list[Gain]:
    """Score masks, where there are references.

    Args:
        masks: Real T2 with masks in place of labels.
        kept: Whether each is learnt from; None for masks of the last round.
        cases: The same images with their references, where they have them.
        edition: What labels mean.
        found: The masks as the network found them, where they were changed since.

    Returns:
        The scores of each structure.
    """
    gains = []
    for structure in edition.structures:
        every: list[Score] = []
        of_kept: list[Score] = []
        of_dropped: list[Score] = []
        as_found: list[Score] = []
        for number, case in enumerate(cases):
            if case.label_path is None:
                continue
            reference = edition.mask_of(case.labels, structure)
            # Of nothing, no Dice tells.
            if not reference.any():
                continue
            scored = _scored(masks[number], reference, structure, edition)
            every.append(scored)
            if found is not None:
                before = _scored(found[number], reference, structure, edition)
                as_found.append(before)
            if kept is not None:
                part = of_kept if kept[number] else of_dropped
                part.append(scored)
        gain = Gain(
            structure=structure,
            masks=len(masks),
            kept=None if kept is None else sum(kept),
            references=len(every),
            failures=failures(every),
            dice=_mean(every),
            dice_kept=_mean(of_kept),
            dice_dropped=_mean(of_dropped),
            dice_found=_mean(as_found),
        )
        gains.append(gain)
    return gains


def write_rounds(path: Path, rounds: Sequence[Sequence[Gain]]) -> None:
    """Write a table of all rounds, in their order: a row for each and structure."""
    with atomic(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number, gains in enumerate(rounds):
            for gain in gains:
                row = _row(number, gain)
                writer.writerow(row)


def in_words(number: int, gains: Sequence[Gain]) -> str:
    """A line on what a round has found in real T2."""
    first = gains[0]
    told = f"{first.kept} of {first.masks} masks kept"
    if first.kept is None:
        told = "the last"
    parts = [f"round {number}: {told}"]
    for gain in gains:
        if gain.dice is not None:
            dice = f"{gain.dice:.3f}"
            if gain.dice_found not in (None, gain.dice):
                dice += f" ({gain.dice_found:.3f} as found)"
            part = f"{gain.structure} Dice {dice} with {gain.failures} failures of {gain.references}"
            parts.append(part)
    return ", ".join(parts)


def _row(number: int, gain: Gain) -> tuple:
    """What the table says of a structure in a round, in the order of `COLUMNS`."""
    kept = "" if gain.kept is None else gain.kept
    return (
        number,
        gain.structure,
        gain.masks,
        kept,
        gain.references,
        gain.failures,
        _cell(gain.dice),
        _cell(gain.dice_kept),
        _cell(gain.dice_dropped),
        _cell(gain.dice_found),
    )


def _scored(mask: PreparedCase, reference: np.ndarray, structure: str, edition: Edition) -> Score:
    """The score of a mask's structure against the reference's, bool (Z, Y, X)."""
    own = edition.mask_of(mask.labels, structure)
    return score(own, reference, mask.spacing_zyx)


def _mean(scores: Sequence[Score]) -> float | None:
    return mean_dice(scores) if scores else None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
