"""The training loop of CycleGAN and pix2pix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric

from training.config import CycleGANConfig, Pix2PixConfig
from training.data.sheets import Cell, Difference, save_sheet
from training.gan.checkpoint import LARGEST_LOSS, Stateful, TrainingState, diverged
from training.gan.health import DiscriminatorWatch
from training.gan.logs import LossLog
from training.gan.ranks import leader_only
from training.status import warn
from vestibule.errors import InputError
from vestibule.progress import track

SHEET_ROWS = 4
"""Slices of a batch that a sample sheet shows, at most."""
LOG_EVERY = 50
"""Iterations between two rows of the losses, at most."""
ROWS_AT_LEAST = 20
"""Rows that a training of few iterations has all the same."""


class AdversarialModel(ABC):
    """Generators and discriminators with their optimisers, as `fit` trains them."""

    config: CycleGANConfig | Pix2PixConfig
    fabric: Fabric
    losses: tuple[str, ...]
    """Names of what `step` returns."""
    measures: tuple[str, ...] = ()
    """Names of what `measure` returns."""
    compared: ClassVar[Mapping[str, str]] = {}
    """Of a sample sheet: title of a column -> that of the column which it should be like."""

    @abstractmethod
    def step(self, *batch: Any, **named: Any) -> dict[str, torch.Tensor]:
        """Update every network once on a batch. Returns the losses by name, detached scalars."""

    def measure(self, interval: int, *batch: Any, **named: Any) -> dict[str, float]:
        """What else is to be logged, measured on the last batch of an interval of so many iterations."""
        return {}

    @abstractmethod
    def sheet(self, *batch: Any, **named: Any) -> dict[str, torch.Tensor]:
        """Columns of a sample sheet of a batch: title -> images (B, 1, Y, X) in [-1, 1]."""

    @abstractmethod
    def parts(self) -> dict[str, Stateful]:
        """All that a resumable state must hold."""


def fit(
    model: AdversarialModel,
    sample_batch: Callable[[], tuple[torch.Tensor | None, ...]],
    generator: np.random.Generator,
    folder: Path,
) -> None:
    """Train to the last iteration, going on from where an earlier try was stopped.

    Leaves `state.pt`, `losses.csv`, `tensorboard/` and sheets in `samples/`.

    Args:
        model: What is trained.
        sample_batch: Gives the batch of this process for the next iteration, as `model.step` takes it.
        generator: What `sample_batch` samples by; its state is saved and resumed.
        folder: Where all is left; its name stands before the progress bar.

    Raises:
        InputError: The state of the earlier try is that of another version or broken, or a loss or weight is no longer
            finite; the last checkpoint before that is kept.
    """
    settings = model.config
    state = TrainingState(folder / "state.pt", model.parts(), generator)
    state.resume()
    log = LossLog(folder, (*model.losses, *model.measures), state.iteration)
    watch = DiscriminatorWatch(model.losses)

    interval = min(LOG_EVERY, settings.iterations // ROWS_AT_LEAST)
    interval = max(1, interval)
    # Sums stay on the device: reading a value would wait for it in every iteration.
    sums: dict[str, torch.Tensor] = {}
    summed = 0
    first = state.iteration + 1
    remaining = range(first, settings.iterations + 1)
    for iteration in track(remaining, folder.name, settings.iterations, state.iteration):
        batch = sample_batch()
        losses = model.step(*batch)
        for name, loss in losses.items():
            if summed:
                sums[name] = sums[name] + loss
            else:
                sums[name] = loss
        summed += 1
        state.iteration = iteration

        if iteration % interval == 0:
            values = {}
            for name, total in sums.items():
                values[name] = float(total) / summed
            values.update(model.measure(interval, *batch))
            log.write(iteration, values)
            for fault in watch.see(values):
                _warn(folder, f"{fault}, at iteration {iteration}")
            _require_finite(sums, state)
            summed = 0

        # The last iteration leaves a sheet and a state, whatever the intervals.
        is_last = iteration == settings.iterations
        if iteration % settings.sample_every == 0 or is_last:
            _save_samples(model, batch, folder / "samples" / f"{iteration:07d}.png")
        if iteration % settings.checkpoint_every == 0 or is_last:
            _require_finite(sums, state)
            state.save()
    log.close()


@leader_only
def _warn(folder: Path, text: str) -> None:
    warn(folder.parent, folder.name, f"{text}; look at {folder / 'losses.csv'} and at the sheets beside it")


def _require_finite(sums: dict[str, torch.Tensor], state: TrainingState) -> None:
    """Raise InputError where a sum of losses is not finite or absurd: no later step would mend the weights."""
    for name, total in sums.items():
        # NaN compares as false.
        is_sound = bool(total.abs() < LARGEST_LOSS)
        if not is_sound:
            when = f"iteration {state.iteration}"
            raise InputError(diverged(f"the loss {name!r}", state.path.parent.name, when, state.path))


@leader_only
@torch.no_grad()
def _save_samples(model: AdversarialModel, batch: tuple[torch.Tensor | None, ...], path: Path) -> None:
    images = {}
    for title, batch_of_images in model.sheet(*batch).items():
        shown = batch_of_images[:SHEET_ROWS, 0]  # (rows, Y, X)
        # NumPy has no bfloat16, in which images may come.
        images[title] = shown.float().cpu().numpy()

    columns: dict[str, Sequence[Cell] | np.ndarray] = {}
    for title, slices in images.items():
        columns[title] = slices
        if title in model.compared:
            other = model.compared[title]
            pairs = zip(slices, images[other], strict=True)
            columns[f"{title}, less {other}"] = [Difference.between(*pair) for pair in pairs]
    save_sheet(path, columns)
