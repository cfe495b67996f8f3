"""The code of a stage: its module, imported when it is asked for, and what lies beside its entry."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from training.config import RunConfig
from training.config.view import SectionView
from training.parts import Layers
from training.stage_table import Stage


def entry_of(stage: Stage) -> tuple[ModuleType, Callable]:
    """The module of a stage, and the function that runs it."""
    name, _, function = stage.entry.partition(":")
    module = importlib.import_module(name)
    return module, getattr(module, function)


def view_for(stage: Stage, config: RunConfig) -> Any:
    """What a stage is given of the configuration: all of it where it names no sections, since it may record it."""
    return config if stage.sections is None else SectionView(config, stage)


def parts_of(stage: Stage, config: RunConfig) -> Layers:
    """The parts of a stage that can be made apart, layer by layer; none where it is made as a whole."""
    module, _ = entry_of(stage)
    parts = getattr(module, "parts", None)
    if parts is None:
        return ()
    return parts(view_for(stage, config))
