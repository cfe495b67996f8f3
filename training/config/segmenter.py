"""Settings of nnU-Net's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.config.checks import above_zero, at_least_one, not_negative, share
from training.stage_table import DIRECT_SEGMENTER, POSTPROCESSING, SEGMENTER, SELF_TRAINING, SUPERVISED
from vestibule.bundle_check import MIN_TILE_STEP

CONFIGURATIONS = ("2d", "3d_fullres")
"""Configurations that nnU-Net plans for every data set; others depend on its images."""
SPLITS = 5
"""Folds that nnU-Net makes of its cases, whichever of them are trained."""


def learns_from_predictions(_: Any, stage: str, whole: Any) -> bool:
    """Whether a stage looks at what nnU-Net predicts, by the whole configuration."""
    if stage in (SELF_TRAINING.name, POSTPROCESSING.name):
        return True
    rounds = getattr(whole, SELF_TRAINING.name, None)
    return rounds is not None and stage in rounds.stages


def trains_folds_apart(settings: Any, stage: str, whole: Any) -> bool:
    """Whether a stage's folds do not depend on each other."""
    trains = stage in (SEGMENTER.name, DIRECT_SEGMENTER.name, SUPERVISED.name)
    return trains and not learns_from_predictions(settings, stage, whole)


AT_PREDICTION = {"changes_result": learns_from_predictions}
"""Of keys that training does not read, unless it learns from predictions."""
BY_FOLD = {"extends": trains_folds_apart}
"""Of the folds, which most stages train apart."""


@dataclass(frozen=True)
class SegmenterConfig:
    """nnU-Net on T1, Isensee et al. 2021: its own planning, with what a small machine needs overridden."""

    configuration: str = "3d_fullres"
    """nnU-Net's configuration: `2d` or `3d_fullres`."""
    folds: tuple[int, ...] = field(default=(0, 1, 2, 3, 4), metadata=BY_FOLD)
    """Folds to train and to average; `[]`: one network on all cases."""
    epochs: int = 1000
    """Epochs of training."""
    iterations_per_epoch: int = 250
    """Steps of training in an epoch."""
    features_base: int | None = None
    """Channels of the first stage; `null`: nnU-Net's own choice."""
    max_features: int | None = None
    """Most channels of any stage; `null`: nnU-Net's own choice."""
    optimiser: str = "sgd"
    """`sgd`: nnU-Net's own (Nesterov momentum 0.99). `adamw`: finds small structures in far fewer iterations."""
    learning_rate: float = 0.01
    """Learning rate at the start; it falls by nnU-Net's polynomial."""
    foreground_share: float = 0.33
    """Share of each batch that is sampled around a structure."""
    gpu_memory_gb: float = 8.0
    """GPU memory that nnU-Net's planner fits patch and batch to, GB."""
    mirror_at_test: bool = field(default=True, metadata=AT_PREDICTION)
    """Average over mirrored images at prediction: up to eight times slower."""
    tile_step: float = field(default=0.5, metadata=AT_PREDICTION)
    """Step of the sliding window, as a share of the patch."""
    focus: bool = field(default=False, metadata={"added": True, **AT_PREDICTION})
    """At prediction, take what lies far from the ears for background, and ask further folds and mirrored images only
    where the first fold finds something: a third of the passes, or fewer."""
    held_back: int = field(default=0, metadata={"added": True})
    """Labelled cases, by the seed, that no fold is trained on: those on which `postprocessing` is chosen."""

    def mirror_axes(self, mirrored: bool) -> tuple[int, ...]:
        """Axes of nnU-Net's patches along which images are mirrored at prediction, where they are at all."""
        if not mirrored:
            return ()
        return (0, 1) if self.configuration == "2d" else (0, 1, 2)

    def __post_init__(self) -> None:
        if self.configuration not in CONFIGURATIONS:
            raise ValueError(f"configuration must be one of {CONFIGURATIONS}, got {self.configuration!r}")
        different = set(self.folds)
        if len(different) < len(self.folds) or not different <= set(range(SPLITS)):
            raise ValueError(f"folds must be different ones from 0 to {SPLITS - 1}, got {list(self.folds)}")
        at_least_one(
            epochs=self.epochs,
            iterations_per_epoch=self.iterations_per_epoch,
            features_base=self.features_base,
            max_features=self.max_features,
        )
        above_zero(learning_rate=self.learning_rate, gpu_memory_gb=self.gpu_memory_gb)
        not_negative(held_back=self.held_back)
        share(foreground_share=self.foreground_share)
        if not MIN_TILE_STEP <= self.tile_step <= 1:
            raise ValueError(f"tile_step must be from {MIN_TILE_STEP} to 1, got {self.tile_step}")
        if self.optimiser not in ("sgd", "adamw"):
            raise ValueError(f"optimiser must be 'sgd' or 'adamw', got {self.optimiser!r}")
