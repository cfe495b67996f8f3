"""The upper bound: nnU-Net on labelled T2, where such labels exist."""

from __future__ import annotations

from pathlib import Path

from training.arms import UPPER_BOUND
from training.config import RunConfig
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.parts import Layers
from training.postprocessing.held_back import remaining
from training.stage_table import SUPERVISED
from training.stages.segmenter import check_training, fold_parts, labelled, make_part_on, train_on
from vestibule.errors import InputError


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where a T2 case has no label, or nnU-Net cannot be trained on so many."""
    targets = known.of("target")
    for case in targets:
        if case.label is None:
            raise InputError(
                f"{case.name}: has no reference; the arm {UPPER_BOUND.name!r} needs every T2 training image labelled. "
                "Label it, or leave the arm out"
            )
    check_training(config, labelled(config, known, "target"), "labelled T2")


def parts(config: RunConfig) -> Layers:
    """The folds, after what all of them share."""
    return fold_parts(config)


def make_part(config: RunConfig, run_dir: Path, name: str) -> None:
    """Make what the folds share, or one fold. Raises InputError where a T2 case has no reference."""
    make_part_on(name, _cases(config, run_dir), "T2", config, SUPERVISED.folder(run_dir))


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the prepared T2 cases: what the arms could reach at best.

    Raises InputError where a T2 case has no reference.
    """
    return train_on(_cases(config, run_dir), "T2", config, SUPERVISED.folder(run_dir))


def _cases(config: RunConfig, run_dir: Path) -> list[PreparedCase]:
    cases = read_cases(run_dir, "target")
    for case in cases:
        if case.label_path is None:
            raise InputError(f"{case.name}: has no reference; the arm {UPPER_BOUND.name!r} needs labelled T2")
    return remaining(cases, config.segmenter.held_back, config.seed)
