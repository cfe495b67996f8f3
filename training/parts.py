"""Parts of a stage that processes make apart, such as the folds of a segmenter.

A stage's module may have, beside its entry, `parts(config)`: layers of `Part`, each part of a layer needs all of the
layers before. And `make_part(config, run_dir, name)`, which makes one, or leaves it where it is there whole. The stage
itself then finds what is made, and makes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

Layers = tuple[tuple["Part", ...], ...]
"""Parts of a stage, in the order in which they can be made; those of one layer side by side."""


@dataclass(frozen=True)
class Part:
    """What one process can make of a stage."""

    name: str
    trains: bool = True
    """Whether it trains a network, which is what takes long."""
    uses_gpus: bool = True
    """Whether it uses the stage's GPUs."""
