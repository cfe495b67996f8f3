"""Settings of GPNN, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one
from training.config.harmoniser import HarmoniserSettings


@dataclass(frozen=True)
class GPNNConfig(HarmoniserSettings):
    """Patch nearest neighbours, coarse to fine, without training. Granot et al. 2022."""

    kind: str = "gpnn"
    """Which harmoniser it is."""
    patch_px: int = 7
    """Side of a patch, pixels of its scale; odd."""
    coarsest_px: int = 21
    """Shorter side of the reference slice at scale 0, pixels: three patches."""
    scale_factor: float = 0.75
    """Size of a scale relative to the next finer one; adjusted so that whole steps fit."""
    iterations: int = 2
    """Times that all patches of a scale are replaced. Our choice; the paper has 10, and each takes as long."""
    completeness: float | None = 0.005
    """α, in mean squared differences of intensities in [-1, 1]: the smaller, the more of the reference's patches are
    used. `null`: each patch gets its nearest neighbour, whether others are used or not."""

    def __post_init__(self) -> None:
        at_least_one(patch_px=self.patch_px, iterations=self.iterations)
        if self.patch_px % 2 == 0:
            raise ValueError(f"patch_px must be odd, got {self.patch_px}")
        if self.coarsest_px < self.patch_px:
            raise ValueError(f"coarsest_px must be at least patch_px, {self.patch_px}, got {self.coarsest_px}")
        if not 0 < self.scale_factor < 1:
            raise ValueError(f"scale_factor must be between 0 and 1, got {self.scale_factor}")
        if self.completeness is not None:
            above_zero(completeness=self.completeness)
