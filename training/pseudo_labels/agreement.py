"""How far a mask depends on how it was found: its overlap with masks of the same image that were found otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import RunConfig, SelfTrainingConfig
from training.data.intermediates import TO_TARGET, Translators
from training.data.slices import PreparedCase
from training.nnunet.trained import load_segmenter
from training.pseudo_labels.masks import labels_in, largest_tumour
from training.stage_table import CYCLEGAN, SECOND_CYCLEGAN
from vestibule.editions import Edition
from vestibule.progress import track

Overlaps = dict[str, dict[str, float]]
"""Dice by the name of a view and by structure."""
Change = Callable[[np.ndarray, PreparedCase], np.ndarray]
"""Makes an image of a case, or a mask, (Z, Y, X) of another."""


def mirror(volume: np.ndarray, _: PreparedCase) -> np.ndarray:
    """`volume` (Z, Y, X) with left and right exchanged."""
    return np.ascontiguousarray(volume[:, :, ::-1])


def remade_by(translators: Translators) -> Change:
    """What makes T1 of a T2 (Z, Y, X) by one CycleGAN of a run, and T2 of that by the other.

    Either hides in its T1 what it needs to make the same T2 again. The other one cannot read that: what is still there
    is what both know.
    """

    def remake(volume: np.ndarray, case: PreparedCase) -> np.ndarray:
        source = translators(CYCLEGAN, "target_to_source", volume)
        return translators(SECOND_CYCLEGAN, TO_TARGET, source, case.site)

    return remake


def unchanged(volume: np.ndarray, _: PreparedCase) -> np.ndarray:
    """`volume` itself."""
    return volume


@dataclass(frozen=True)
class View:
    """Another way to find the mask of an image."""

    name: str
    folds: tuple[str, ...] | None = None
    """Names of the folds that are asked; None: all that are configured."""
    before: Change = unchanged
    """What is done to the image before the mask is found."""
    after: Change = unchanged
    """What is done to the mask to lie on the image again."""


def views_of(settings: SelfTrainingConfig, folds: Sequence[int], translators: Translators | None = None) -> list[View]:
    """The ways to find a mask that pseudo-labels are compared with; none where nothing is asked for.

    Args:
        settings: What is asked for.
        folds: Numbers of the folds that are trained.
        translators: Of a run that has two of them; None: of one that has not.
    """
    views = []
    if settings.mirrored:
        mirrored = View("mirrored", before=mirror, after=mirror)
        views.append(mirrored)
    if settings.folds and len(folds) > 1:
        for fold in folds:
            alone = View(f"fold {fold}", folds=(str(fold),))
            views.append(alone)
    if settings.translators and translators is not None:
        remade = View("both translators", before=remade_by(translators))
        views.append(remade)
    return views


def overlaps_of(
    cases: Sequence[PreparedCase], views: Sequence[View], config: RunConfig, weights: Path, edition: Edition
) -> dict[str, Overlaps]:
    """Compare pseudo-labels with what each view finds in the same images.

    Args:
        cases: Real T2 with pseudo-labels.
        views: Other ways to find a mask.
        config: The configuration of the run.
        weights: Folder of the segmenter that has found the pseudo-labels.
        edition: What labels mean.

    Returns:
        The overlaps of each case, by its name.
    """
    overlaps: dict[str, Overlaps] = {}
    for case in cases:
        overlaps[case.name] = {}
    # View by view, so that one network is in memory at a time.
    for view in views:
        # Mirrored images are a view of their own, and no part of the others.
        segmenter = load_segmenter(config, weights, view.folds, mirrored=False)
        for case in track(cases, view.name):
            image = np.asarray(case.image, dtype=np.float32)
            seen = view.before(image, case)
            found = labels_in(seen, case, segmenter)
            found = view.after(found, case)
            # As the pseudo-labels were found.
            found = largest_tumour(found, edition)
            of_case = overlaps[case.name]
            of_case[view.name] = overlap(found, case.labels, edition)
    return overlaps


def overlap(labels: np.ndarray, others: np.ndarray, edition: Edition) -> dict[str, float]:
    """Dice of each structure in two label volumes (Z, Y, X); 1 where neither has it."""
    overlaps = {}
    for structure in edition.structures:
        mask = edition.mask_of(labels, structure)
        other = edition.mask_of(others, structure)
        common = mask & other
        voxels = int(mask.sum()) + int(other.sum())
        overlaps[structure] = 1.0
        if voxels:
            overlaps[structure] = 2 * int(common.sum()) / voxels
    return overlaps


def agreement_of(overlaps: Overlaps) -> float | None:
    """Mean over the views of the structure that they agree on least; None where there is no view."""
    if not overlaps:
        return None
    by_structure: dict[str, list[float]] = {}
    for found in overlaps.values():
        for structure, dice in found.items():
            of_structure = by_structure.setdefault(structure, [])
            of_structure.append(dice)
    means = []
    for values in by_structure.values():
        mean = float(np.mean(values))
        means.append(mean)
    return min(means)
