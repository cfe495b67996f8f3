"""nnU-Net's trainer, which may be stopped at any instant, and stops itself where the weights are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from training.gan.checkpoint import LARGEST_LOSS, what_is_kept, whole
from training.nnunet.environment import environment
from training.nnunet.randomness import NumberedBatches, global_state, set_global_state
from vestibule.checkpoints import NUMBERS, save_state
from vestibule.errors import InputError

LATEST, FINAL = "checkpoint_latest.pth", "checkpoint_final.pth"
"""Checkpoints that a training goes on from, in nnU-Net's folder of a fold: while it runs, and once it has ended."""
RANDOM_STATE = "random_state"
"""Key of a checkpoint that nnU-Net's own checkpoints lack."""
EPOCHS_AT_RISK = 10
"""Epochs between checkpoints, at most."""
OVERFLOWS = 20
"""Steps in a row whose loss may overflow in half precision: a scaled step that overflows changes no weight."""
TRAINING, VALIDATION = 0, 1


def sampling_probabilities(cases: Sequence[str], weights: Mapping[str, float]) -> np.ndarray | None:
    """Chance of each case to be sampled, in the order of `cases`; None where all have the same."""
    found = [weights.get(case, 1.0) for case in cases]
    if len(set(found)) == 1:
        return None
    chances = np.array(found)
    return chances / chances.sum()


class ResumableTrainer(nnUNetTrainer):
    """Checkpoints are whole, hold the state of the random generators, and hold finite weights alone."""

    seed: int = 0
    """Of the batches that worker processes sample."""
    case_weights: Mapping[str, float] = MappingProxyType({})
    """How often cases are sampled, by name, relative to those that are not named."""
    where: str = ""
    """The stage's folder, for messages."""
    _kept_state: dict[str, Any] | None = None
    _overflows = 0

    @property
    def latest(self) -> Path:
        """The checkpoint that this training leaves at intervals, and goes on from."""
        return Path(self.output_folder) / LATEST

    def go_on(self) -> None:
        """Go on from the last checkpoint, where there is one. Raises InputError where it is broken."""
        final = self.latest.with_name(FINAL)
        path = final if final.is_file() else self.latest
        if not path.is_file():
            return
        with whole(path, "to train the fold from its start"):
            # First with what a checkpoint needs alone, since nnU-Net opens any pickle.
            with torch.serialization.safe_globals(NUMBERS):
                content = torch.load(path, map_location="cpu", weights_only=True)
            self.load_checkpoint(str(path))
        # Checkpoints of earlier versions have none.
        self._kept_state = content.get(RANDOM_STATE)

    def on_train_start(self) -> None:
        """As nnU-Net's, which samples a first batch and drops it; then the random numbers go on where they were."""
        super().on_train_start()
        if self._kept_state is not None:
            set_global_state(self._kept_state)

    def get_dataloaders(self) -> tuple[Any, Any]:
        """As nnU-Net's; batches of worker processes come in their order, and each is sampled by its number."""
        workers = get_allowed_n_proc_DA()
        # Made without processes of their own, and given to ours where there are any.
        with environment(nnUNet_n_proc_DA="0"):
            training, validation = super().get_dataloaders()
        loader = training.data_loader
        loader.sampling_probabilities = sampling_probabilities(loader.indices, self.case_weights)
        if workers == 0:
            return training, validation
        seen = self.current_epoch * self.num_iterations_per_epoch
        validated = self.current_epoch * self.num_val_iterations_per_epoch
        return (
            self._shared_out(loader, TRAINING, seen, workers),
            self._shared_out(validation.data_loader, VALIDATION, validated, max(1, workers // 2)),
        )

    def _shared_out(self, loader: Any, kind: int, first: int, workers: int) -> MultiThreadedAugmenter:
        fold = -1 if self.fold == "all" else int(self.fold)
        # No number of a key may be negative.
        batches = NumberedBatches(loader, (self.seed, fold + 1, kind), first, workers)
        on_gpu = self.device.type == "cuda"
        return MultiThreadedAugmenter(batches, None, workers, pin_memory=on_gpu, wait_time=0.002)

    def train_step(self, batch: dict) -> dict:
        """As nnU-Net's. Raises InputError where the loss is not finite, or absurdly large."""
        step = super().train_step(batch)
        # NaN compares as false.
        is_sound = bool(np.abs(step["loss"]) < LARGEST_LOSS)
        if is_sound:
            self._overflows = 0
            return step
        self._overflows += 1
        # Without a scaler the weights have taken the step.
        if self.grad_scaler is None or self._overflows > OVERFLOWS:
            raise InputError(self._diverged("the loss"))
        return step

    def save_checkpoint(self, filename: str) -> None:
        """As nnU-Net's, whole or not at all, with the state of the random generators.

        Raises InputError where the disk refuses, or a weight is not finite: the checkpoint before it stays.
        """
        # `torch.compile` wraps the network.
        network: torch.nn.Module = getattr(self.network, "_orig_mod", self.network)  # type: ignore[assignment]
        weights = network.state_dict()
        for tensor in weights.values():
            if not tensor.isfinite().all():
                raise InputError(self._diverged("a weight"))
        scaler = None if self.grad_scaler is None else self.grad_scaler.state_dict()
        content = {
            "network_weights": weights,
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": scaler,
            "logging": self.logger.get_checkpoint(),
            "_best_ema": self._best_ema,
            "current_epoch": self.current_epoch + 1,
            "init_args": self.my_init_kwargs,
            "trainer_name": type(self).__name__,
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            RANDOM_STATE: global_state(),
        }
        save_state(content, Path(filename))

    def _diverged(self, what: str) -> str:
        epoch = self.current_epoch + 1
        return (
            f"{self.where}: {what} of nnU-Net is not finite, or absurdly large, in epoch {epoch}: the training has "
            f"diverged. {what_is_kept(self.latest)}; lower segmenter.learning_rate"
        )
