"""nnU-Net on synthetic T2: what it learns is applied to real T2 as it is, without a translation back.

By the section `self_training` it goes on with its own masks of real T2, as the arm `blending` does.
"""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig, rounds_of
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.parts import Layers
from training.postprocessing.held_back import remaining
from training.stage_table import DIRECT_SEGMENTER, SYNTHESIS
from training.stages.segmenter import check_training, fold_parts, labelled, make_part_on, train_on
from training.stages.self_training import (
    check_rounds,
    inspect_rounds,
    make_round_part,
    round_parts,
    train_in_rounds,
)


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many cases."""
    rounds = rounds_of(config, DIRECT_SEGMENTER)
    if rounds is None:
        check_training(config, labelled(config, known, "source"), "labelled T1")
    else:
        check_rounds(rounds, config, known)


def parts(config: RunConfig) -> Layers:
    """The folds, after what all of them share; of every round, where there are rounds."""
    if config.self_training is not None:
        return round_parts(config.self_training, config)
    return fold_parts(config)


def make_part(config: RunConfig, run_dir: Path, name: str) -> None:
    """Make what the folds share, one fold, or the masks of a round."""
    rounds = config.self_training
    if rounds is not None:
        make_round_part(name, DIRECT_SEGMENTER, SYNTHESIS, rounds, config, run_dir)
        return
    make_part_on(name, _cases(config, run_dir), "T2", config, DIRECT_SEGMENTER.folder(run_dir))


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the synthetic T2 of the labelled cases; no label of T2 is learnt from."""
    if config.self_training is not None:
        return train_in_rounds(DIRECT_SEGMENTER, SYNTHESIS, config.self_training, config, run_dir)
    return train_on(_cases(config, run_dir), "T2", config, DIRECT_SEGMENTER.folder(run_dir))


def _cases(config: RunConfig, run_dir: Path) -> list[PreparedCase]:
    return remaining(read_cases(run_dir, "source", SYNTHESIS), config.segmenter.held_back, config.seed)


def inspect(config: RunConfig, run_dir: Path) -> list[str]:
    """Warnings of rounds that have kept too few masks."""
    return inspect_rounds(DIRECT_SEGMENTER, config, run_dir)
