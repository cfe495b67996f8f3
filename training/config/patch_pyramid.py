"""Settings that harmonisers on patches, coarse to fine, have in common."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import at_least_one
from training.config.harmoniser import HarmoniserSettings


@dataclass(frozen=True)
class PatchPyramidConfig(HarmoniserSettings):
    """Base of the settings of harmonisers that work on patches of a pyramid of scales."""

    patch_px: int = 7
    """Side of a patch, pixels of its scale; odd."""
    coarsest_px: int = 21
    """Shorter side of the reference slice at scale 0, pixels: three patches."""
    scale_factor: float = 0.75
    """Size of a scale relative to the next finer one; adjusted so that whole steps fit."""

    def __post_init__(self) -> None:
        at_least_one(patch_px=self.patch_px)
        if self.patch_px % 2 == 0:
            raise ValueError(f"patch_px must be odd, got {self.patch_px}")
        if self.coarsest_px < self.patch_px:
            raise ValueError(f"coarsest_px must be at least patch_px, {self.patch_px}, got {self.coarsest_px}")
        if not 0 < self.scale_factor < 1:
            raise ValueError(f"scale_factor must be between 0 and 1, got {self.scale_factor}")
