"""What a round of self-training is worth, where T2 has references. They are looked at here, and nothing learns of them.

Phantoms have references of their training images; the challenge gives none.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.slices import PreparedCase
from training.postprocessing.choice import failures, mean_dice
from training.postprocessing.scores import Score, score
from vestibule.editions import Edition
from vestibule.files import atomic

TABLE = "rounds.csv"
"""What the masks of every round score."""
COLUMNS = ("round", "structure", "masks", "kept", "references", "failures", "dice", "dice_kept", "dice_dropped")


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


def gain_of(
    masks: Sequence[PreparedCase], kept: Sequence[bool] | None, cases: Sequence[PreparedCase], edition: Edition
) -> list[Gain]:
    """Score masks, where there are references.

    Args:
        masks: Real T2 with masks in place of labels.
        kept: Whether each is learnt from; None for masks of the last round.
        cases: The same images with their references, where they have them.
        edition: What labels mean.

    Returns:
        The scores of each structure.
    """
    gains = []
    for structure in edition.structures:
        every: list[Score] = []
        of_kept: list[Score] = []
        of_dropped: list[Score] = []
        for number, case in enumerate(cases):
            if case.label_path is None:
                continue
            reference = edition.mask_of(case.labels, structure)
            # Of nothing, no Dice tells.
            if not reference.any():
                continue
            mask = masks[number]
            found = edition.mask_of(mask.labels, structure)
            scored = score(found, reference, case.spacing_zyx)
            every.append(scored)
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
            part = f"{gain.structure} Dice {gain.dice:.3f} with {gain.failures} failures of {gain.references}"
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
    )


def _mean(scores: Sequence[Score]) -> float | None:
    return mean_dice(scores) if scores else None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
