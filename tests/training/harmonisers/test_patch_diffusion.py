"""The closed-form denoiser, by numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from training.config import PatchDiffusionConfig
from training.harmonisers.patch_diffusion import PatchDiffusionHarmoniser

SINGLE = {"patch_px": 1, "sigmas": (1.0, 0.5)}
"""Settings with which a patch is a pixel."""


@pytest.fixture
def two_values():
    """A harmoniser whose reference has the values 0 and 1, each in one pixel."""
    image = np.array([[0.0, 1.0]], dtype=np.float32)
    return PatchDiffusionHarmoniser(image, PatchDiffusionConfig(**SINGLE))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_denoised_is_the_mean_weighted_by_likelihood(two_values, sigma):
    image = torch.tensor([[[[0.5, 0.8]]]])
    # 0.8 lies 0.8 from the one value and 0.2 from the other.
    near = math.exp(-(0.2**2) / (2 * sigma**2))
    far = math.exp(-(0.8**2) / (2 * sigma**2))
    expected = torch.tensor([[[[0.5, near / (near + far)]]]])
    torch.testing.assert_close(two_values.denoise(image, sigma), expected)


def test_steps_lead_over_all_following_sigmas(two_values):
    image = torch.full((1, 1, 1, 1), 0.8)
    first = two_values.denoise(image, 1.0)
    halfway = (first + image) / 2
    expected = two_values.denoise(halfway, 0.5)
    torch.testing.assert_close(two_values.harmonise_one(image, 1, None), expected)


def test_last_level_takes_one_step(two_values):
    image = torch.full((1, 1, 1, 1), 0.8)
    torch.testing.assert_close(two_values.harmonise_one(image, 2, None), two_values.denoise(image, 0.5))


def test_noise_is_that_of_the_level(two_values):
    image = torch.zeros(1, 1, 200, 200)
    seen = []
    two_values.denoise = lambda noisy, sigma: seen.append((noisy, sigma)) or noisy
    for level in two_values.levels:
        seen.clear()
        two_values.harmonise_one(image, level, torch.Generator().manual_seed(0))
        noisy, sigma = seen[0]
        assert float(noisy.std()) == pytest.approx(sigma, rel=0.02)


def test_other_noise_gives_another_slice(two_values):
    slices = np.full((1, 20, 20), 0.5, dtype=np.float32)
    results = [two_values.apply(slices, 1, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert not np.array_equal(*results)
