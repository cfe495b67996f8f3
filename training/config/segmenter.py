"""Settings of nnU-Net's training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegmenterConfig:
    """nnU-Net on T1, Isensee et al. 2021: its own planning, with what a small machine needs overridden."""

    configuration: str = "3d_fullres"
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Folds to train and to average; empty: one network on all cases."""
    epochs: int = 1000
    iterations_per_epoch: int = 250
    features_base: int | None = None
    """Overrides the channels of the first stage; nnU-Net's own choice where unset."""
    max_features: int | None = None
    """Overrides the most channels of any stage; nnU-Net's own choice where unset."""
    optimiser: str = "sgd"
    """`sgd`: nnU-Net's own (Nesterov momentum 0.99). `adamw`: finds small structures in far fewer iterations."""
    learning_rate: float = 0.01
    """At the start; falls by nnU-Net's polynomial."""
    foreground_share: float = 0.33
    """Share of each batch that is drawn around a structure."""
    gpu_memory_gb: float = 8.0
    """GPU memory that nnU-Net's planner fits patch and batch to."""
    mirror_at_test: bool = True
    tile_step: float = 0.5

    def __post_init__(self) -> None:
        if self.optimiser not in ("sgd", "adamw"):
            raise ValueError(f"optimiser must be 'sgd' or 'adamw', got {self.optimiser!r}")
