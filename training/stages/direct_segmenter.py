"""nnU-Net on synthetic T2: what it learns is applied to real T2 as it is, without a translation back.

By the section `self_training` it goes on with its own masks of real T2, as the arm `blending` does.
"""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig, rounds_of
from training.data.raw_cases import KnownCases
from training.data.slices import read_cases
from training.postprocessing.held_back import remaining
from training.stage_table import DIRECT_SEGMENTER, SYNTHESIS
from training.stages.segmenter import check_training, labelled, train_on
from training.stages.self_training import check_rounds, inspect_rounds, train_in_rounds


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many cases."""
    rounds = rounds_of(config, DIRECT_SEGMENTER)
    if rounds is None:
        check_training(config, labelled(config, known, "source"), "labelled T1")
    else:
        check_rounds(rounds, config, known)


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the synthetic T2 of the labelled cases; no label of T2 is learnt from."""
    if config.self_training is not None:
        return train_in_rounds(DIRECT_SEGMENTER, SYNTHESIS, config.self_training, config, run_dir)
    cases = remaining(read_cases(run_dir, "source", SYNTHESIS), config.segmenter.held_back, config.seed)
    return train_on(cases, "T2", config, DIRECT_SEGMENTER.folder(run_dir))


def inspect(config: RunConfig, run_dir: Path) -> list[str]:
    """Warnings of rounds that have kept too few masks."""
    return inspect_rounds(DIRECT_SEGMENTER, config, run_dir)
