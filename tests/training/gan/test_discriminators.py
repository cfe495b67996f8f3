import pytest
import torch

from training.gan.discriminators import PatchGAN, ReplayPool, initialise, least_squares
from vestibule.networks import InstanceNorm


def test_published_size_gives_the_published_patchgan():
    network = PatchGAN(1, 64, 3)
    assert sum(p.numel() for p in network.parameters()) == 2_762_689
    assert network(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 30, 30)


def test_each_logit_sees_70_pixels():
    network = initialise(PatchGAN(1, 8, 3)).double()
    # Without instance norm, whose statistics span the image, only the convolutions' reach is left.
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.forward = lambda x: x
    image = torch.randn(1, 1, 256, 256, dtype=torch.double, requires_grad=True)
    network(image)[0, 0, 15, 15].backward()
    rows = image.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_least_squares_by_hand():
    logits = torch.tensor([[-1.0, 0.5]])
    assert float(least_squares(logits, real=True)) == pytest.approx((4.0 + 0.25) / 2)
    assert float(least_squares(logits, real=False)) == pytest.approx((1.0 + 0.25) / 2)


def test_pool_shows_new_fakes_until_it_is_full_and_then_swaps_by_the_coin():
    pool = ReplayPool(2)
    first = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    assert pool.exchange(first, torch.full((2, 2), 0.9)).flatten().tolist() == [1.0, 2.0]
    later = torch.tensor([3.0, 4.0]).view(2, 1, 1, 1)
    shown = pool.exchange(later, torch.tensor([[0.4, 0.0], [0.6, 0.7]]))
    assert shown.flatten().tolist() == [3.0, 2.0]
    assert pool.state_dict()["images"].flatten().tolist() == [1.0, 4.0]


def test_pool_of_size_0_shows_what_it_is_given():
    fakes = torch.randn(3, 1, 2, 2)
    assert ReplayPool(0).exchange(fakes, torch.rand(3, 2)) is fakes
