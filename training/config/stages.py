"""Which stages a configuration runs."""

from __future__ import annotations

from training.arms import arms_of
from training.config.run import RunConfig
from training.stage_table import EXPORT, PHANTOM, POSTPROCESSING, PREPARE, STAGES, Stage


def stages_of(config: RunConfig) -> list[Stage]:
    """The stages that `config` asks for, in the order of the table, `EXPORT` last."""
    wanted = {PREPARE.name}
    if config.phantom:
        wanted.add(PHANTOM.name)
    for arm in arms_of(config.arms):
        wanted.update(stage.name for stage in arm.stages)
    if config.postprocessing:
        wanted.add(POSTPROCESSING.name)
    stages = [stage for stage in STAGES.values() if stage.name in wanted]
    # Last, wherever a further row of the table stands.
    return [*stages, EXPORT]
