"""A training state that can be saved at any instant and resumed to the same weights."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.gan.distributed import leads


class TrainingState:
    """What a loop needs to go on: networks, optimisers, schedulers, random generators and the iteration.

    `parts` maps names to objects with `state_dict` and `load_state_dict`.
    """

    def __init__(self, path: Path, parts: dict[str, object], generator: np.random.Generator) -> None:
        self.path = path
        self.iteration = 0
        self.generator = generator
        self._parts = parts

    def save(self) -> None:
        """Write the state whole or not at all; of several processes that train together, one writes."""
        if not leads():
            return
        content = {name: part.state_dict() for name, part in self._parts.items()}
        content["iteration"] = self.iteration
        content.update(random_state())
        content["numpy_rng"] = _plain(self.generator.bit_generator.state)
        partial = self.path.with_suffix(".partial")
        torch.save(content, partial)
        os.replace(partial, self.path)

    def resume(self) -> bool:
        """Load the state where there is one. Returns whether there was."""
        if not self.path.is_file():
            return False
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(content[name])
        self.iteration = content["iteration"]
        set_random_state(content)
        self.generator.bit_generator.state = _unplain(content["numpy_rng"])
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


def _plain(state: dict) -> dict:
    # 128-bit integers do not fit a tensor; text survives a load that admits no arbitrary object.
    return {key: _plain(value) if isinstance(value, dict) else str(value) for key, value in state.items()}


def _unplain(state: dict) -> dict:
    def convert(value: str) -> object:
        return int(value) if value.isdigit() else value

    return {key: _unplain(value) if isinstance(value, dict) else convert(value) for key, value in state.items()}
