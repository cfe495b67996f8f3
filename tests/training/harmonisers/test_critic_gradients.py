"""The gradients of a critic that are worked out by hand are those that autograd finds."""

import pytest
import torch
from torch import nn

from training.gan.devices import layout_for
from training.harmonisers.critic_gradients import set_gradients
from training.harmonisers.singan_network import ScaleCritic


def critic_and_images(layers, size, width=6):
    """A critic in float64 with weights far from their start, and a real and a fake image (1, 1, Y, X)."""
    torch.manual_seed(0)
    critic = ScaleCritic(width, layers) if layers > 1 else nn.ModuleDict({"layers": nn.Sequential(nn.Conv2d(1, 1, 3))})
    for parameter in critic.parameters():
        nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.3)
    real, fake = torch.rand(2, 1, 1, *size, dtype=torch.float64)
    return critic.layers.double(), real, fake


def by_autograd(critic, real, fake, share, weight):
    """The loss as the paper has it, and the gradients of a graph of the gradient's graph."""
    mixed = (share * real + (1 - share) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    wasserstein = critic(fake).mean() - critic(real).mean()
    penalty = weight * (slope.norm(2, dim=1) - 1).square().mean()
    return wasserstein, penalty, torch.autograd.grad(wasserstein + penalty, tuple(critic.parameters()))


@pytest.mark.parametrize(("layers", "size"), [(1, (4, 5)), (2, (9, 12)), (5, (17, 23))])
def test_gradients_and_losses_are_those_of_autograd(layers, size):
    critic, real, fake = critic_and_images(layers, size)
    torch.manual_seed(1)
    wasserstein, penalty = set_gradients(critic, real, fake, 0.1, torch.float64)
    torch.manual_seed(1)
    expected = by_autograd(critic, real, fake, torch.rand(()), 0.1)
    torch.testing.assert_close((wasserstein, penalty), expected[:2])
    for parameter, gradient in zip(critic.parameters(), expected[2], strict=True):
        assert parameter.grad.abs().max() > 0 or gradient.abs().max() < 1e-12
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


def test_losses_and_gradient_by_hand():
    # D sees three times the middle of each 3 x 3 patch: a gradient of 3 at the four inner pixels and 0 at the other 12.
    critic = nn.Sequential(nn.Conv2d(1, 1, 3))
    nn.init.zeros_(critic[0].weight)
    nn.init.zeros_(critic[0].bias)
    with torch.no_grad():
        critic[0].weight[0, 0, 1, 1] = 3.0
    real, fake = torch.full((1, 1, 4, 4), 0.5), torch.full((1, 1, 4, 4), 0.25)
    wasserstein, penalty = set_gradients(critic, real, fake, 0.1, torch.float32)
    assert float(wasserstein) == pytest.approx(3 * (0.25 - 0.5))
    assert float(penalty) == pytest.approx(0.1 * (4 * (3 - 1) ** 2 + 12 * (0 - 1) ** 2) / 16)
    # By the middle weight w: fake - real, and 0.1 * 4 * 2 * (w - 1) / 16.
    assert float(critic[0].weight.grad[0, 0, 1, 1]) == pytest.approx(-0.25 + 0.1 * 4 * 2 * (3 - 1) / 16)


def test_former_gradients_are_replaced():
    critic, real, fake = critic_and_images(2, (9, 9))
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        set_gradients(critic, real, fake, 0.1, torch.float64)
        found.append([parameter.grad.clone() for parameter in critic.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_bfloat16_points_the_same_way_and_leaves_gradients_as_the_parameters_lie():
    critic, real, fake = critic_and_images(5, (24, 20), width=16)
    critic, real, fake = critic.float(), real.float(), fake.float()
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        set_gradients(critic.to(memory_format=layout_for(dtype)), real, fake, 0.1, dtype)
        for parameter in critic.parameters():
            assert parameter.grad.dtype == torch.float32
            assert parameter.grad.stride() == parameter.stride()
        found[dtype] = torch.cat([parameter.grad.flatten() for parameter in critic.parameters()])
    assert torch.cosine_similarity(*found.values(), dim=0) > 0.99
