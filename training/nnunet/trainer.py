"""nnU-Net's trainer as this project's configuration sets it."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

from training.augmentation.local_contrast import LocalContrast, with_local_contrast
from training.config import SegmenterConfig
from training.gan.devices import has_bfloat16
from training.nnunet.resumable import EPOCHS_AT_RISK, ResumableTrainer

CURVES_EVERY_S = 60.0
"""Seconds between drawings of `progress.png`, at least. One takes a second, and small epochs take ten."""


class Trainer(ResumableTrainer):
    """nnU-Net's trainer with our length of training, and its prints in its log file alone."""

    contrast: LocalContrast | None = None
    """What is varied in the patches, beside nnU-Net's own augmentation; None: nothing."""
    _drawn_at = -math.inf

    def configure(self, config: SegmenterConfig, contrast: LocalContrast | None = None) -> None:
        """Set the length of training, the optimiser and a further augmentation; to be called before `initialize`."""
        self.contrast = contrast
        self.optimiser_name = config.optimiser
        self.initial_lr = config.learning_rate
        self.oversample_foreground_percent = config.foreground_share
        self.num_epochs = config.epochs
        self.num_iterations_per_epoch = config.iterations_per_epoch
        self.num_val_iterations_per_epoch = max(1, config.iterations_per_epoch // 10)
        self.save_every = min(max(1, config.epochs // 10), EPOCHS_AT_RISK)
        # nnU-Net draws after every epoch.
        self._draw_curves = self.logger.plot_progress_png
        self.logger.plot_progress_png = self.draw_curves

    def draw_curves(self, folder: str) -> None:
        """Draw nnU-Net's curves into a folder, unless they are new; after the last epoch in any case."""
        now = time.monotonic()
        is_last = self.current_epoch + 1 == self.num_epochs
        if is_last or now - self._drawn_at >= CURVES_EVERY_S:
            self._draw_curves(folder)
            self._drawn_at = now

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """nnU-Net's own optimiser, or AdamW under nnU-Net's own schedule."""
        if self.optimiser_name == "sgd":
            return super().configure_optimizers()
        optimiser = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=self.weight_decay)
        return optimiser, PolyLRScheduler(optimiser, self.initial_lr, self.num_epochs)

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> BasicTransform:
        """nnU-Net's own, and the local contrast where it is asked for."""
        transforms = super().get_training_transforms(*args, **kwargs)
        if self.contrast is None:
            return transforms
        return with_local_contrast(transforms, self.contrast)

    def train_step(self, batch: dict) -> dict:
        """As nnU-Net's, under autocast on a CPU that has bfloat16 too."""
        in_bfloat16 = self.device.type == "cpu" and has_bfloat16(self.device)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
            return super().train_step(batch)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Keep the console for our own progress."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Left out: it wants a plotting library that nothing else needs."""


# nnU-Net's own commands look among its own classes for the one that a checkpoint names. Prediction is that class's:
# what differs here concerns training alone.
FORMER_NAME = Trainer.__name__
"""How folders of results began before checkpoints named nnU-Net's own class."""
Trainer.__name__ = "nnUNetTrainer"
