"""The masks of a round of self-training, judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.config import RunConfig, SelfTrainingConfig
from training.data.intermediates import Translators
from training.data.slices import PreparedCase, read_cases
from training.nnunet.trained import load_segmenter
from training.pseudo_labels.agreement import overlaps_of, views_of
from training.pseudo_labels.anatomy import volume_limits
from training.pseudo_labels.fitting import FOLDER as FITTED
from training.pseudo_labels.fitting import fit_cochleae, typical_cochlea, write_fitted
from training.pseudo_labels.masks import find_masks
from training.pseudo_labels.record import read_judged, write_judged
from training.pseudo_labels.sheet import save_masks
from training.pseudo_labels.tumours import fit_tumours
from training.pseudo_labels.verdicts import Judged, judge, weighted_by_agreement, with_every_site
from vestibule.editions import Edition, get_edition

LABELS = "labels"
"""Folder of a round's masks, within the round's own."""


def judged_masks(
    targets: Sequence[PreparedCase],
    synthetic: Sequence[PreparedCase],
    settings: SelfTrainingConfig,
    config: RunConfig,
    run_dir: Path,
    round_dir: Path,
) -> list[Judged]:
    """Find masks of real T2 with the network of a round, and judge them; what an earlier try has judged is read.

    Args:
        targets: Real T2; what labels it may have are not looked at.
        synthetic: Synthetic T2 with labels of T1, whose volumes are those that structures can have.
        settings: What is asked of a mask.
        config: The configuration of the run.
        run_dir: Folder of the run, whose translators are asked.
        round_dir: Folder of the round, whose network is trained; the judgement is written to it.

    Returns:
        The masks with their verdicts, in the order of `targets`.
    """
    earlier = judged_before(targets, settings, round_dir)
    if earlier is not None:
        return earlier

    edition = get_edition(config.edition)
    segmenter = load_segmenter(config, round_dir)
    found = find_masks(targets, segmenter, edition, round_dir / LABELS)
    cases = [one.case for one in found]
    translators = None
    if config.second_cyclegan is not None:
        translators = Translators(run_dir)
    views = views_of(settings, config.segmenter.folds, translators)
    overlaps = overlaps_of(cases, views, config, round_dir, edition)

    limits = volume_limits(synthetic, edition, settings.volume_margin)
    judged = []
    for one in found:
        verdict = judge(one, overlaps[one.case.name], settings, limits, edition)
        judged.append(verdict)
    judged = with_every_site(judged, settings.site_share)
    if settings.weighted:
        judged = weighted_by_agreement(judged)
    if settings.fits:
        labelled = sources_of(synthetic, run_dir)
        judged = with_fitted_masks(judged, labelled, settings, edition, _learnt(settings, round_dir))
    save_masks(round_dir, judged, edition)
    write_judged(round_dir, judged)
    return judged


def judged_before(
    targets: Sequence[PreparedCase], settings: SelfTrainingConfig, round_dir: Path
) -> list[Judged] | None:
    """What an earlier try of `judged_masks` has judged; None where it has not, or a mask is not as it was written."""
    return read_judged(round_dir, targets, _learnt(settings, round_dir))


def masks_as_found(targets: Sequence[PreparedCase], round_dir: Path) -> list[PreparedCase] | None:
    """Real T2 with the masks of a round's network before they were fitted; None where one is not there any more."""
    found = []
    for case in targets:
        path = round_dir / LABELS / f"{case.name}.npy"
        if not path.is_file():
            return None
        found.append(replace(case, label_path=path))
    return found


def _learnt(settings: SelfTrainingConfig, round_dir: Path) -> Path:
    """Folder of the masks of a round that the next one learns from."""
    return round_dir / (FITTED if settings.fits else LABELS)


def sources_of(synthetic: Sequence[PreparedCase], run_dir: Path) -> list[PreparedCase]:
    """The labelled T1 that synthetic T2 was made of; a synthetic case has the label of its T1."""
    labels = {case.label_path.resolve() for case in synthetic if case.label_path}
    sources = []
    for case in read_cases(run_dir, "source"):
        if case.label_path and case.label_path.resolve() in labels:
            sources.append(case)
    return sources


def with_fitted_masks(
    judged: Sequence[Judged],
    labelled: Sequence[PreparedCase],
    settings: SelfTrainingConfig,
    edition: Edition,
    folder: Path,
) -> list[Judged]:
    """The same masks with structures fitted as the settings ask; the verdicts stay.

    Args:
        judged: Masks of real T2 with their verdicts.
        labelled: T1 cases, which tell a cochlea's shape and volume; where none has one, cochleae stay as they are.
        settings: Which structures are fitted.
        edition: What labels mean.
        folder: Where the masks that are learnt from are written.
    """
    cases = [one.case for one in judged]
    # Copies all the same, since the record is of this folder.
    masks = [np.array(case.labels) for case in cases]
    if settings.fit_cochleae:
        typical = typical_cochlea(labelled, edition)
        masks = fit_cochleae(cases, typical, edition)
    if settings.fit_tumours:
        masks = fit_tumours(cases, masks, edition)
    cases = write_fitted(cases, masks, folder)
    return [replace(one, case=case) for one, case in zip(judged, cases, strict=True)]
