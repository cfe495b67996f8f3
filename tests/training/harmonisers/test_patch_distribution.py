"""The distance of patch distributions and its steps, by numbers worked out by hand and by sorting plainly."""

import numpy as np
import pytest
import torch

from training.config import GPDMConfig
from training.harmonisers.patch_distribution import (
    PatchDistributionHarmoniser,
    distance_gradient,
    order_of,
    quantiles,
)

PIXEL = torch.ones(1, 1, 1, 1)
"""A patch of one pixel, projected onto itself."""


def test_gradient_leads_each_value_to_its_partner_of_the_same_rank():
    image = torch.tensor([[[[0.5, -1.0, 0.0]]]])
    targets = torch.tensor([[-0.8, 0.1, 0.9]])
    # -1.0 is the least and belongs to -0.8; 0.0 to 0.1; 0.5 to 0.9.
    expected = torch.tensor([[[[0.5 - 0.9, -1.0 + 0.8, 0.0 - 0.1]]]])
    torch.testing.assert_close(distance_gradient(image, PIXEL, targets), expected)


def test_gradient_is_that_of_the_distance_by_automatic_differentiation():
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, 12, 10, generator=generator, requires_grad=True)
    directions = torch.randn(5, 1, 3, 3, generator=generator)
    targets = torch.randn(5, 80, generator=generator).sort(dim=1).values
    projected = torch.nn.functional.conv2d(image, directions)[0].flatten(1)
    distance = 0.5 * (projected.sort(dim=1).values - targets).square().sum() / 5
    distance.backward()
    found = distance_gradient(image.detach(), directions, targets)
    torch.testing.assert_close(found, image.grad, rtol=1e-4, atol=1e-4)


def test_order_is_that_of_sorting_with_either_sign():
    values = torch.randn(4, 500, generator=torch.Generator().manual_seed(0))
    values[0, :5] = torch.tensor([0.0, -3.0, 1e-30, -1e-30, 3.0])
    torch.testing.assert_close(values.gather(1, order_of(values)), values.sort(dim=1).values, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("count", "expected"), [(4, [0, 2, 4, 6]), (2, [1, 5]), (8, [0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6])]
)
def test_quantiles_are_midpoints_of_equal_shares(count, expected):
    values = torch.tensor([[0.0, 2.0, 4.0, 6.0]])
    torch.testing.assert_close(quantiles(values, count), torch.tensor([expected], dtype=torch.float32))


def test_slice_gets_the_intensities_of_the_reference_and_keeps_its_shapes():
    reference = np.where(np.arange(40) < 20, -0.5, 0.5) * np.ones((40, 1))
    bright = np.where(np.arange(40)[:, None] < 20, 0.1, 0.9) * np.ones((1, 40))
    harmoniser = PatchDistributionHarmoniser(reference.astype(np.float32), GPDMConfig())
    (result,) = harmoniser.apply(bright.astype(np.float32)[None], harmoniser.levels[-1])
    # The slice is split across rows, where the reference is across columns: a patch of the one is none of the other,
    # but away from the edges both are flat.
    assert result[:12].mean() == pytest.approx(-0.5, abs=0.1)
    assert result[28:].mean() == pytest.approx(0.5, abs=0.1)


def test_more_steps_come_closer():
    generator = np.random.default_rng(0)
    reference, image = generator.normal(0, 0.3, (2, 32, 32)).clip(-1, 1).astype(np.float32)
    image = (image * 0.3 + 0.5).astype(np.float32)
    left = []
    for steps in (2, 60):
        harmoniser = PatchDistributionHarmoniser(reference, GPDMConfig(steps=steps))
        (result,) = harmoniser.apply(image[None], harmoniser.levels[-1])
        values = np.sort(result.ravel()) - np.sort(reference.ravel())
        left.append(np.abs(values).mean())
    assert left[1] < 0.3 * left[0]


def test_directions_have_the_length_one():
    harmoniser = PatchDistributionHarmoniser(np.zeros((30, 30), np.float32), GPDMConfig(steps=2, projections=3))
    lengths = harmoniser.directions.square().sum(dim=(-2, -1))
    torch.testing.assert_close(lengths, torch.ones(2, 3, 1))
