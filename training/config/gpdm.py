"""Settings of GPDM, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one
from training.config.patch_pyramid import PatchPyramidConfig


@dataclass(frozen=True)
class GPDMConfig(PatchPyramidConfig):
    """Patch distributions matched by gradient steps, coarse to fine, without a network. Elnekave and Weiss 2022."""

    kind: str = "gpdm"
    """Which harmoniser it is."""
    projections: int = 16
    """Random directions along which patches are compared in a step. Our choice; the published code has 256."""
    steps: int = 30
    """Steps of Adam at each scale. Our choice; the published code has 500."""
    learning_rate: float = 0.05
    """Learning rate of Adam at a scale's first step, from where it falls linearly to 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(projections=self.projections, steps=self.steps)
        above_zero(learning_rate=self.learning_rate)
