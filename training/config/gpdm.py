"""Settings of GPDM, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one
from training.config.harmoniser import HarmoniserSettings


@dataclass(frozen=True)
class GPDMConfig(HarmoniserSettings):
    """Patch distributions matched by gradient steps, coarse to fine, without a network. Elnekave and Weiss 2022."""

    kind: str = "gpdm"
    """Which harmoniser it is."""
    patch_px: int = 7
    """Side of a patch, pixels of its scale; odd."""
    coarsest_px: int = 21
    """Shorter side of the reference slice at scale 0, pixels: three patches."""
    scale_factor: float = 0.75
    """Size of a scale relative to the next finer one; adjusted so that whole steps fit."""
    projections: int = 16
    """Random directions along which patches are compared in a step. Our choice; the published code has 256."""
    steps: int = 30
    """Steps of Adam at each scale. Our choice; the published code has 500."""
    learning_rate: float = 0.05
    """Learning rate of Adam at a scale's first step, from where it falls linearly to 0."""

    def __post_init__(self) -> None:
        at_least_one(patch_px=self.patch_px, projections=self.projections, steps=self.steps)
        above_zero(learning_rate=self.learning_rate)
        if self.patch_px % 2 == 0:
            raise ValueError(f"patch_px must be odd, got {self.patch_px}")
        if self.coarsest_px < self.patch_px:
            raise ValueError(f"coarsest_px must be at least patch_px, {self.patch_px}, got {self.coarsest_px}")
        if not 0 < self.scale_factor < 1:
            raise ValueError(f"scale_factor must be between 0 and 1, got {self.scale_factor}")
