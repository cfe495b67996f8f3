"""The one-shot model of the reference slice, by the configured harmoniser."""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig
from training.harmonisers import singan


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train a model on each reference slice; leaves them in the stage's folder."""
    return singan.train(config, run_dir)
