"""SinGAN gives its training slice back, from its own noise and from every scale that an image can be injected at."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from training.config import SinGANConfig
from training.data.reference_slice import Reference
from training.harmonisers.singan import SinGANHarmoniser


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A SinGAN of two scales on a smooth slice of 20 x 20 px, by the losses of `fast`, and the slice (Y, X)."""
    image = gaussian_filter(np.random.default_rng(0).normal(size=(20, 20)), 1.5)
    image = (image / np.abs(image).max()).astype(np.float32)
    folder = tmp_path_factory.mktemp("singan")
    settings = SinGANConfig(coarsest_px=14, scale_factor=0.7, width=16, layers=3, iterations=300)
    reference = Reference("case", 0, "given", image, np.zeros(image.shape, dtype=bool))
    return SinGANHarmoniser.fit(reference, settings, folder, 0), image


@pytest.mark.slow
def test_training_slice_is_reconstructed(trained):
    harmoniser, image = trained
    assert harmoniser.reconstruction_rmse < 0.02
    assert float(image.std()) > 0.3  # far from flat, so that this says something


@pytest.mark.slow
def test_training_slice_comes_back_nearly_unchanged_from_every_scale_but_the_one_of_noise(trained):
    harmoniser, image = trained
    for level in harmoniser.levels:
        changed = harmoniser.apply(image[None], level) - image
        assert float(np.sqrt(np.square(changed).mean())) / 2 < 0.04
