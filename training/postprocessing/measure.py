"""Scores of all candidates for one segmenter, on labelled cases that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.data.slices import PreparedCase
from training.postprocessing.candidates import in_words
from training.postprocessing.scores import Score, score
from vestibule.components import ComponentRule, keep_components
from vestibule.editions import Edition
from vestibule.progress import track

if TYPE_CHECKING:
    from vestibule.segmentation import Segmenter

Rules = dict[str, list[ComponentRule]]
"""The rules that are compared, by structure."""
Scores = dict[str, dict[ComponentRule, list[Score]]]
"""Scores by structure and rule, each list in the order of the cases that have the structure."""


def measure(segmenter: Segmenter, cases: Sequence[PreparedCase], rules: Rules, edition: Edition, title: str) -> Scores:
    """Score what a segmenter predicts, under each rule.

    Args:
        segmenter: Predicts on the working grid.
        cases: Labelled cases.
        rules: What is compared.
        edition: What labels mean.
        title: Of the progress bar.

    Returns:
        The scores.
    """
    scores: Scores = {}
    for structure, candidates in rules.items():
        scores[structure] = {rule: [] for rule in candidates}

    for case in track(cases, title):
        image = np.asarray(case.image, dtype=np.float32)
        probabilities = segmenter.probabilities(image, case.spacing_zyx)  # (C, Z, Y, X)
        labels = probabilities.argmax(axis=0)
        for structure, candidates in rules.items():
            reference = edition.mask_of(case.labels, structure)
            # Where there is nothing to find, no rule can be right: none empties a mask.
            if not reference.any():
                continue
            for rule in candidates:
                found = score_rule(labels, reference, structure, rule, case.spacing_zyx, edition)
                scores[structure][rule].append(found)
    return scores


def score_rule(
    labels: np.ndarray,
    reference: np.ndarray,
    structure: str,
    rule: ComponentRule,
    spacing_zyx: tuple[float, float, float],
    edition: Edition,
) -> Score:
    """The score of a structure under a rule.

    Args:
        labels: As predicted, (Z, Y, X).
        reference: The structure as it is, bool (Z, Y, X).
        structure: Which one.
        rule: Which of its parts stay.
        spacing_zyx: Voxel size, mm.
        edition: What labels mean.

    Returns:
        Its score.
    """
    voxel_mm3 = float(np.prod(spacing_zyx))
    kept = keep_components(labels, {structure: rule}, edition, voxel_mm3)
    mask = edition.mask_of(kept, structure)
    return score(mask, reference, spacing_zyx)


def scores_to_json(scores: Scores) -> dict:
    """Scores as JSON can hold them: by structure and rule in words, Dice and surface distance of each case."""
    content: dict[str, dict[str, list]] = {}
    for structure, by_rule in scores.items():
        content[structure] = {}
        for rule, found in by_rule.items():
            pairs = [[one.dice, one.assd_mm] for one in found]
            content[structure][in_words(rule)] = pairs
    return content


def scores_from_json(content: dict, rules: Rules) -> Scores:
    """What `scores_to_json` was given, for the same rules. Raises KeyError for others."""
    scores: Scores = {}
    for structure, candidates in rules.items():
        scores[structure] = {}
        for rule in candidates:
            pairs = content[structure][in_words(rule)]
            found = [Score(dice, assd_mm) for dice, assd_mm in pairs]
            scores[structure][rule] = found
    return scores
