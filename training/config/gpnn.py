"""Settings of GPNN, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one
from training.config.patch_pyramid import PatchPyramidConfig


@dataclass(frozen=True)
class GPNNConfig(PatchPyramidConfig):
    """Patch nearest neighbours, coarse to fine, without training. Granot et al. 2022."""

    kind: str = "gpnn"
    """Which harmoniser it is."""
    iterations: int = 2
    """Times that all patches of a scale are replaced. Our choice; the paper has 10, and each takes as long."""
    completeness: float | None = 0.005
    """α, in mean squared differences of intensities in [-1, 1]: the smaller, the more of the reference's patches are
    used. `null`: each patch gets its nearest neighbour, whether others are used or not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(iterations=self.iterations)
        if self.completeness is not None:
            above_zero(completeness=self.completeness)
