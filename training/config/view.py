"""The part of a configuration that a stage is given."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from training.config.run import RunConfig
from training.stage_table import Stage


class SectionView:
    """The sections of a configuration that a stage's row names, and the seed; any other is refused.

    So the fingerprint of a stage covers all that it can read.
    """

    def __init__(self, config: RunConfig, stage: Stage) -> None:
        self._stage = stage
        self.seed = config.seed
        for section in sections_of(stage):
            setattr(self, section, given_to(stage, config, section))

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError for a section that the stage's row does not name."""
        stage = self.__dict__.get("_stage")
        if stage is None or name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"stage {stage.name!r} reads the configuration's {name!r}, but its row in training/stage_table.py names "
            f"{', '.join(sections_of(stage))} alone; add the section to its row"
        )


def given_to(stage: Stage, config: RunConfig, section: str) -> Any:
    """What a stage is given of a section: None where the section's own `stages` names others alone."""
    settings = getattr(config, section)
    concerned = getattr(settings, "stages", None)
    if stage.sections is not None and concerned is not None and stage.name not in concerned:
        return None
    return settings


def added_sections() -> set[str]:
    """Sections that a later version has added: records of before it do not have them."""
    return {field.name for field in fields(RunConfig) if field.metadata.get("added", False)}


def sections_of(stage: Stage) -> tuple[str, ...]:
    """Names of the sections of the configuration that a stage is given."""
    if stage.sections is None:
        return tuple(name for name in _recorded() if name != "seed")
    return stage.sections


def as_recorded(config: RunConfig) -> dict[str, Any]:
    """The configuration as mappings, without what tells nothing of the result, such as a cluster's partitions."""
    values = asdict(config)
    return {name: values[name] for name in _recorded()}


def _recorded() -> list[str]:
    return [field.name for field in fields(RunConfig) if field.metadata.get("recorded", True)]
