"""A training state that can be saved at any instant and resumed to the same weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from training.gan.ranks import leader_only
from vestibule.checkpoints import intact, save_state
from vestibule.errors import InputError
from vestibule.files import atomic
from vestibule.finite import require_finite
from vestibule.tensors import write_tensors

LARGEST_LOSS = 1e8
"""A training that goes on learns with losses of 100 at most in each iteration."""


class Stateful(Protocol):
    """What can be saved and go on: networks, optimisers, schedulers, pools of images."""

    def state_dict(self) -> dict[str, Any]:
        """All that going on needs."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Go on from what `state_dict` gave."""
        ...


class TrainingState:
    """What a loop needs to go on: the parts of a model, random generators and the iteration."""

    def __init__(self, path: Path, parts: dict[str, Stateful], generator: np.random.Generator) -> None:
        """Nothing is read yet; `resume` does that.

        Args:
            path: File of the state.
            parts: Names in the file, and what they stand for.
            generator: The generator that batches are sampled by.
        """
        self.path = path
        self.iteration = 0
        self.generator = generator
        self._parts = parts

    @leader_only
    def save(self) -> None:
        """Write the state whole or not at all; of several processes that train together, one writes.

        Raises InputError where a part holds a value that is not finite: the state before it stays.
        """
        content: dict[str, Any] = {}
        for name, part in self._parts.items():
            content[name] = part.state_dict()
        for name, part in content.items():
            if not _is_finite(part):
                raise InputError(diverged(name, self.path.parent.name, f"iteration {self.iteration}", self.path))
        content["iteration"] = self.iteration
        content["numpy_rng"] = _plain(self.generator.bit_generator.state)
        content.update(random_state())
        save_state(content, self.path)

    def resume(self) -> bool:
        """Load the state where there is one.

        Returns:
            Whether there was one.

        Raises:
            InputError: It is broken, or that of another version, whose parts are other ones.
        """
        if not self.path.is_file():
            return False
        content = read_state(self.path, "to start the stage over")
        missing = sorted(set(self._parts) - set(content))
        if missing:
            raise InputError(
                f"{self.path}: lacks {', '.join(missing)}, so it was saved by another version; finish the stage with "
                "that version, or delete the file to start the stage over"
            )
        for name, part in self._parts.items():
            part.load_state_dict(content[name])
        self.iteration = content["iteration"]
        self.generator.bit_generator.state = _unplain(content["numpy_rng"])
        set_random_state(content)
        return True


@leader_only
def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of `network` as safetensors; of several processes that train together, one writes.

    Raises InputError where a weight is not finite.
    """
    tensors = {}
    for name, value in network.state_dict().items():
        tensors[name] = value.contiguous().cpu()
    require_finite(tensors, path)
    with atomic(path) as partial:
        write_tensors(partial, tensors)


def read_state(path: Path, by_deleting: str) -> dict[str, Any]:
    """What `torch.save` wrote to a file; no pickle of other objects is opened.

    Args:
        path: The file.
        by_deleting: What deleting it is good for, for the message.

    Returns:
        The content, its tensors on the CPU.

    Raises:
        InputError: The file is cut short or damaged.
    """
    with whole(path, by_deleting):
        return torch.load(path, map_location="cpu", weights_only=True)


def whole(path: Path, by_deleting: str) -> contextlib.AbstractContextManager[None]:
    """A block that reads a checkpoint; for a broken one it raises InputError, and says what deleting it is good for."""
    return intact(path, f"delete it {by_deleting}")


def diverged(what: str, stage: str, when: str, checkpoint: Path) -> str:
    """What to say of a training whose losses or weights are no longer finite.

    Args:
        what: The loss or the network.
        stage: Name of the stage, which is its section in the configuration too.
        when: The iteration, in words.
        checkpoint: Where the stage keeps its last state.

    Returns:
        The message, without a file.
    """
    return (
        f"{stage}: {what} is not finite, or absurdly large, at {when}: the training has diverged. "
        f"{what_is_kept(checkpoint)}; lower {stage}.learning_rate, or set precision to 32-true"
    )


def what_is_kept(checkpoint: Path) -> str:
    """Whether there is a checkpoint to go on from, in words."""
    if checkpoint.exists():
        return f"The last checkpoint before that is kept ({checkpoint.name})"
    return "No checkpoint had been written before that"


def _is_finite(value: Any) -> bool:
    """Whether every tensor within what a part saves holds finite values alone."""
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, Mapping):
        return all(_is_finite(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(_is_finite(inner) for inner in value)
    return True


def random_state() -> dict[str, torch.Tensor]:
    """States of torch's random generators: the CPU's and, where there is one, this process's GPU's."""
    state = {"torch_rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Go on from what `random_state` gave; a state that was saved without a GPU leaves the GPU's generator alone."""
    torch.set_rng_state(state["torch_rng"])
    if torch.cuda.is_available() and "cuda_rng" in state:
        torch.cuda.set_rng_state(state["cuda_rng"])


def freeze(network: nn.Module, frozen: bool) -> None:
    """Let gradients through the parameters of `network`, or not."""
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    # 128-bit integers do not fit a tensor; text survives a load that admits no arbitrary object.
    plain = {}
    for key, value in state.items():
        plain[key] = _plain(value) if isinstance(value, dict) else str(value)
    return plain


def _unplain(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, dict):
            found[key] = _unplain(value)
        elif value.isdigit():
            found[key] = int(value)
        else:
            found[key] = value
    return found
