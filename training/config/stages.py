"""Which stages a configuration runs."""

from __future__ import annotations

from training.arms import arms_of
from training.config.run import RunConfig
from training.stage_table import EXPORT, PHANTOM, POSTPROCESSING, PREPARE, STAGES, Stage


def stages_of(config: RunConfig) -> list[Stage]:
    """The stages that `config` asks for, in the order of the table, `EXPORT` last."""
    wanted = {PHANTOM.name, PREPARE.name, POSTPROCESSING.name}
    for arm in arms_of(config.arms):
        wanted.update(stage.name for stage in arm.stages)
    stages = []
    for stage in STAGES.values():
        if stage.name in wanted and _has_section(stage, config):
            stages.append(stage)
    # Last, wherever a further row of the table stands.
    return [*stages, EXPORT]


def _has_section(stage: Stage, config: RunConfig) -> bool:
    """Whether the section is there without which a stage is left out."""
    return stage.only_with is None or getattr(config, stage.only_with) is not None
