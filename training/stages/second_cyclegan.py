"""A second CycleGAN, by a seed and generators of its own: what both translate is twice the synthetic T2.

Two translators err in different ways, so that a segmenter learns the ways of neither. Published for crossMoDA 2022 with
two kinds of translators (MAI: .780 -> .804 VS Dice).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.config import RunConfig
from training.data.raw_cases import KnownCases
from training.gan.devices import subnormals_as_zero
from training.stage_table import SECOND_CYCLEGAN
from training.stages.cyclegan import check_site_code, train_pair

SEED_STEP = 15_485_863
"""Keeps its first weights apart from those of the first one; any prime will do."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where a site code is asked for, and T2 cases do not tell several sites."""
    if config.second_cyclegan is not None:
        check_site_code(config.second_cyclegan, config, known)


@subnormals_as_zero()
def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train as the stage `cyclegan` does; leaves the same in `second_cyclegan/`.

    Raises ValueError where the configuration has no section for it.
    """
    settings = config.second_cyclegan
    if settings is None:
        raise ValueError(f"the configuration has no section {SECOND_CYCLEGAN.only_with!r}")
    torch.manual_seed(config.seed + SEED_STEP)
    generator = np.random.default_rng([config.seed, 4])
    return train_pair(settings, config.precision, generator, run_dir, SECOND_CYCLEGAN.folder(run_dir))
