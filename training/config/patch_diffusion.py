"""Settings of the closed-form diffusion on patches, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from training.config.checks import above_zero, at_least_one
from training.config.harmoniser import HarmoniserSettings


@dataclass(frozen=True)
class PatchDiffusionConfig(HarmoniserSettings):
    """Diffusion on the reference's patches, whose best denoiser is known in closed form: nothing is trained."""

    kind: str = "patch_diffusion"
    """Which harmoniser it is."""
    patch_px: int = 7
    """Side of a patch, pixels; odd."""
    sigmas: tuple[float, ...] = (4.0, 2.5, 1.6, 1.0, 0.6, 0.35, 0.2, 0.1)
    """Standard deviations of the noise, falling, for intensities in [-1, 1]: level 1 adds noise of the first one. From
    there on one step of denoising leads to each next one, and the last to none. Our choice."""

    def __post_init__(self) -> None:
        at_least_one(patch_px=self.patch_px)
        if self.patch_px % 2 == 0:
            raise ValueError(f"patch_px must be odd, got {self.patch_px}")
        if not self.sigmas:
            raise ValueError("sigmas must name at least one standard deviation")
        smallest = min(self.sigmas)
        above_zero(sigmas=smallest)
        for sigma, following in pairwise(self.sigmas):
            if following >= sigma:
                raise ValueError(f"sigmas must fall, got {following} behind {sigma}")
