"""The optimiser of CycleGAN and pix2pix: Adam with a learning rate that falls to 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from training.config import CycleGANConfig, Pix2PixConfig
from training.gan.distributed import average_gradients

BETAS = (0.5, 0.999)
"""Adam's momenta in Zhu et al. 2017 and Isola et al. 2017."""


class Optimiser:
    """Updates some networks together, over all processes that train them."""

    def __init__(self, fabric: Fabric, networks: Sequence[nn.Module], config: CycleGANConfig | Pix2PixConfig) -> None:
        """Nothing is updated yet.

        Args:
            fabric: Knows the processes, the device and the arithmetic.
            networks: What is updated.
            config: The learning rate and how it falls.
        """
        parameters: list[nn.Parameter] = []
        for network in networks:
            parameters.extend(network.parameters())
        plain = torch.optim.Adam(parameters, config.learning_rate, betas=BETAS, fused=True)
        self._fabric = fabric
        # Fabric's wrapper is an optimiser too, which its type does not tell.
        self._adam = cast(torch.optim.Optimizer, fabric.setup_optimizers(plain))
        self._scheduler = LambdaLR(self._adam, linear_decay(config.iterations, config.decay_from))

    def minimise(self, loss: torch.Tensor) -> None:
        """Take a step down the gradient of `loss`, a scalar, averaged over the processes."""
        self._adam.zero_grad()
        self._fabric.backward(loss)
        average_gradients(self._fabric, self._adam)
        self._adam.step()
        self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Momenta and the place in the schedule."""
        return {
            "adam": self._adam.state_dict(),
            "scheduler": self._scheduler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._adam.load_state_dict(state["adam"])
        self._scheduler.load_state_dict(state["scheduler"])


def linear_decay(iterations: int, decay_from: float) -> Callable[[int], float]:
    """Factor of the learning rate at an iteration: 1, then linearly to 0 from the share `decay_from` on."""
    start = int(iterations * decay_from)
    falling = max(1, iterations - start)

    def factor(iteration: int) -> float:
        if iteration < start:
            return 1.0
        fallen = (iteration - start) / falling
        return max(0.0, 1 - fallen)

    return factor
