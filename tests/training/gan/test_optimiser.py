from dataclasses import replace

import pytest
import torch

from training.gan.devices import make_fabric
from training.gan.optimiser import Optimiser, linear_decay


def slope(start: float) -> torch.nn.Linear:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, start)
    return network


@pytest.fixture
def settings(config):
    return replace(config.pix2pix, learning_rate=0.1, iterations=4, decay_from=0.5)


def test_learning_rate_is_constant_then_falls_to_0():
    factor = linear_decay(10, 0.5)
    assert [factor(i) for i in (0, 4, 5, 6, 10)] == [1.0, 1.0, 1.0, 0.8, 0.0]


def test_networks_move_together_by_the_rate_that_is_due(settings):
    first, second = slope(1.0), slope(-1.0)
    optimiser = Optimiser(make_fabric("32-true"), [first, second], settings)
    for _ in range(4):
        # A gradient that stays makes every step of Adam one of the whole rate.
        optimiser.minimise(first.weight.sum() - second.weight.sum())
    # Two steps of 0.1, then one of 0.1 and one of half of it.
    assert first.weight.item() == pytest.approx(1.0 - 0.35, abs=1e-6)
    assert second.weight.item() == pytest.approx(-1.0 + 0.35, abs=1e-6)


def test_state_goes_on_with_momentum_and_rate(settings):
    whole, stopped, resumed = slope(1.0), slope(1.0), slope(1.0)
    fabric = make_fabric("32-true")
    optimisers = [Optimiser(fabric, [network], settings) for network in (whole, stopped, resumed)]
    for scale in (1.0, 3.0, -2.0):
        optimisers[0].minimise(scale * whole.weight.square().sum())
    for scale in (1.0, 3.0):
        optimisers[1].minimise(scale * stopped.weight.square().sum())
    resumed.load_state_dict(stopped.state_dict())
    optimisers[2].load_state_dict(optimisers[1].state_dict())
    optimisers[2].minimise(-2.0 * resumed.weight.square().sum())
    assert resumed.weight.item() == whole.weight.item()
