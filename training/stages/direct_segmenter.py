"""nnU-Net on synthetic T2: what it learns is applied to real T2 as it is, without a translation back."""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig
from training.data.raw_cases import KnownCases
from training.data.slices import read_cases
from training.postprocessing.held_back import remaining
from training.stage_table import DIRECT_SEGMENTER, SYNTHESIS
from training.stages.segmenter import check_training, labelled, train_on


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many cases."""
    check_training(config, labelled(config, known, "source"), "labelled T1")


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the synthetic T2 of the labelled cases; no label of T2 is read."""
    cases = remaining(read_cases(run_dir, "source", SYNTHESIS), config.segmenter.held_back, config.seed)
    return train_on(cases, "T2", config, DIRECT_SEGMENTER.folder(run_dir))
