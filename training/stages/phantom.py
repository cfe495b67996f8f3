"""The run's phantom population, in the challenge's own layout."""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig
from training.data.raw_cases import data_dir, population_of
from training.phantom.population import make_population


def make(config: RunConfig, run_dir: Path) -> list[Path]:
    """Make the phantoms in `phantom/data`; returns their files."""
    folder = data_dir(config, run_dir)
    population = population_of(config)
    make_population(folder, population)

    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files.append(path)
    return files
