"""A configuration and data of the full size in every image and network, but of few steps and few cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.config import RunConfig
from training.config.folders import FoldersConfig
from training.data.raw_cases import RawCase
from vestibule.editions import Edition

CASES = 6
"""Of each domain: nnU-Net makes five folds, and one case may be held back."""
EPOCHS = 2
"""Of nnU-Net: the first one has what happens once in it."""
ITERATIONS_PER_EPOCH = 2
"""Steps of an epoch of nnU-Net's."""


def shortened(config: RunConfig, steps: int) -> RunConfig:
    """`config` with the least training that shows a pace.

    Networks, images, losses and arms are those of the run. Of nnU-Net's folds one is trained, of the reference slices
    one, and of self-training no round but the first.

    Args:
        config: Of the run.
        steps: Iterations of each GAN, and of each scale of SinGAN.

    Returns:
        The configuration of the rehearsal.
    """
    segmenter = replace(
        config.segmenter,
        folds=config.segmenter.folds[:1],
        epochs=EPOCHS,
        iterations_per_epoch=ITERATIONS_PER_EPOCH,
        held_back=min(config.segmenter.held_back, 1),
    )
    short = replace(
        config,
        # The data of the rehearsal lie in folders of the edition's names.
        folders=FoldersConfig(),
        cyclegan=replace(config.cyclegan, iterations=steps),
        pix2pix=replace(config.pix2pix, iterations=steps),
        reference=replace(config.reference, count=1),
        augment=replace(config.augment, rounds=0, last_on_target=False, last_epochs=None),
        # The rounds are those of `augment` then, none.
        self_training=None,
        segmenter=segmenter,
    )
    if hasattr(config.harmoniser, "iterations"):
        harmoniser = replace(config.harmoniser, iterations=steps)  # type: ignore[call-arg]  # not all kinds have them
        short = replace(short, harmoniser=harmoniser)
    if config.second_cyclegan is not None:
        second = replace(config.second_cyclegan, iterations=steps)
        short = replace(short, second_cyclegan=second)
    if config.postprocessing is not None:
        short = replace(short, postprocessing=replace(config.postprocessing, min_cases=1))
    if config.phantom is not None:
        short = replace(short, phantom=replace(config.phantom, cases=CASES, validation=1))
    return short


def some_of(cases: Sequence[RawCase], wanted: str | None) -> list[RawCase]:
    """`CASES` of a domain, from all of its length, so that several sites are among them.

    Args:
        cases: Of one domain.
        wanted: Name of one that must be among them: that of the reference slice.

    Returns:
        The cases, in their order.
    """
    step = max(1, len(cases) // CASES)
    chosen = list(cases[::step][:CASES])
    for case in cases:
        if case.name == wanted and case not in chosen:
            chosen[-1] = case
    return chosen


def link_cases(cases: Sequence[RawCase], edition: Edition, out: Path) -> None:
    """Put links to the files of some cases into `out`, in folders and by names of the edition."""
    for case in cases:
        if case.domain == "source":
            images = out / edition.source_folder
            labels = images
            image = images / edition.source_name(case.name)
        else:
            images = out / edition.target_folder
            labels = edition.references_of(out, edition.target_folder)
            image = images / edition.target_name(case.name)
        images.mkdir(parents=True, exist_ok=True)
        image.symlink_to(case.image.resolve())
        if case.label is not None:
            labels.mkdir(parents=True, exist_ok=True)
            (labels / edition.label_name(case.name)).symlink_to(case.label.resolve())
