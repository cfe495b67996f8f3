"""Which section tells the rounds of a stage's self-training."""

from __future__ import annotations

from training.config.augment import AugmentConfig
from training.config.run import RunConfig
from training.config.self_training import SelfTrainingConfig
from training.stage_table import SELF_TRAINING, Stage

Rounds = AugmentConfig | SelfTrainingConfig
"""Settings with `rounds`, `last_on_target` and `last_epochs`."""


def rounds_of(config: RunConfig, stage: Stage) -> Rounds | None:
    """The section of a whole configuration that tells a stage's rounds; None for a stage that has none."""
    settings = config.self_training
    if settings is not None and stage.name in settings.stages:
        return settings
    return config.augment if stage == SELF_TRAINING else None


def trainings_in(rounds: Rounds) -> int:
    """How often nnU-Net is trained: the first time, round after round, and where it is asked for a last time."""
    return 1 + rounds.rounds + int(rounds.last_on_target)
