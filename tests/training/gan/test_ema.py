import torch

from training.gan.ema import WeightAverage


def layer(value: float) -> torch.nn.Linear:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, value)
    return network


def test_mean_of_three_updates_by_hand():
    network = layer(1.0)
    average = WeightAverage({"a": network}, 0.75)
    for value in (1.0, 2.0, 4.0):
        torch.nn.init.constant_(network.weight, value)
        average.update()
    # The first update takes the weights as they are: 1, then 0.75 + 0.5, then 0.9375 + 1.
    assert float(average.network("a").weight.detach()) == 1.9375
    assert float(network.weight.detach()) == 4.0


def test_without_decay_the_network_itself_is_kept():
    network = layer(1.0)
    average = WeightAverage({"a": network}, 0.0)
    average.update()
    assert average.network("a") is network
    assert average.state_dict() == {}


def test_state_goes_on_where_it_was():
    first, second = layer(1.0), layer(1.0)
    averages = [WeightAverage({"a": network}, 0.5) for network in (first, second)]
    averages[0].update()
    torch.nn.init.constant_(first.weight, 3.0)
    averages[0].update()
    averages[1].load_state_dict(averages[0].state_dict())
    torch.nn.init.constant_(second.weight, 3.0)
    for average in averages:
        torch.nn.init.constant_(first.weight, 3.0)
        average.update()
    assert float(averages[0].network("a").weight.detach()) == float(averages[1].network("a").weight.detach()) == 2.5
