"""How slices are sampled from the prepared volumes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """How slices are sampled from the prepared volumes."""

    batch_size: int = 1
    """Slices (of pix2pix, pairs of slices) in a step, for each process."""
    min_foreground: float = 0.05
    """Slices with a smaller share of voxels above -0.9 are nearly black and are not sampled. Our choice."""
    flip: bool = True
    """Mirror half of the slices left to right, since the anatomy is symmetric. As in Isola et al. 2017; for the
    CycleGAN our choice."""
    crop_yx: tuple[int, int] | None = None
    """Size of the random part of a slice that is trained on, working voxels; `null`: the whole slice. The CycleGAN's
    published code has 0.9 of a side."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
