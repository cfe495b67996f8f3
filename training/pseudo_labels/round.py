"""The masks of a round of self-training, judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.config import RunConfig, SelfTrainingConfig
from training.data.intermediates import Translators
from training.data.slices import PreparedCase
from training.nnunet.trained import load_segmenter
from training.pseudo_labels.agreement import overlaps_of, views_of
from training.pseudo_labels.anatomy import volume_limits
from training.pseudo_labels.masks import find_masks
from training.pseudo_labels.record import read_judged, write_judged
from training.pseudo_labels.sheet import save_masks
from training.pseudo_labels.verdicts import Judged, judge, weighted_by_agreement, with_every_site
from vestibule.editions import get_edition

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
    labels = round_dir / LABELS
    earlier = read_judged(round_dir, targets, labels)
    if earlier is not None:
        return earlier

    edition = get_edition(config.edition)
    segmenter = load_segmenter(config, round_dir)
    found = find_masks(targets, segmenter, edition, labels)
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
    save_masks(round_dir, judged, edition)
    write_judged(round_dir, judged)
    return judged
