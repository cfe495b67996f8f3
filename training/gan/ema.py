"""The exponential moving average (EMA) of a generator's weights: steadier than they are against an adversary."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    """EMA of the weights of some networks; with decay 0 the networks themselves.

    As Yazıcı et al. 2019 ("The unusual effectiveness of averaging in GAN training") for generators.
    """

    def __init__(self, networks: dict[str, nn.Module], decay: float) -> None:
        """`decay`: the share of the old mean that stays at each update, in [0, 1)."""
        self._networks = networks
        self._means: dict[str, AveragedModel] = {}
        if decay == 0:
            return
        rule = get_ema_multi_avg_fn(decay)
        for name, network in networks.items():
            mean = AveragedModel(network, multi_avg_fn=rule)
            self._means[name] = mean.eval()

    @torch.no_grad()
    def update(self) -> None:
        """Take the networks' present weights into the mean."""
        for name, mean in self._means.items():
            mean.update_parameters(self._networks[name])

    def network(self, name: str) -> nn.Module:
        """What is to be used and kept of the network `name`."""
        if name in self._means:
            return self._means[name].module
        return self._networks[name]

    def state_dict(self) -> dict[str, Any]:
        """The means and how often each was updated."""
        return {name: mean.state_dict() for name, mean in self._means.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the means of `state` back."""
        for name, mean in self._means.items():
            mean.load_state_dict(state[name])
