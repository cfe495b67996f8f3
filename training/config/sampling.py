"""How slices are sampled from the prepared volumes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """How slices are drawn from the prepared volumes."""

    batch_size: int = 1
    min_foreground: float = 0.05
    """Slices with a smaller share of voxels above -0.9 are black and not drawn."""
    flip: bool = True
    """Mirror half of the slices left to right: the anatomy is symmetric."""
    crop_yx: tuple[int, int] | None = None
    """Random part of the slice that is trained on; the whole slice where unset."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
