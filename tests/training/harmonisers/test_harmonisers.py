"""What holds of every harmoniser in the table. A new kind whose defaults are slow has an entry in `SMALL` as well."""

import numpy as np
import pytest
import torch

from training.config import GPDMConfig, GPNNConfig, PatchDiffusionConfig, SinGANConfig, TransferConfig
from training.data.reference_slice import Reference
from training.harmoniser_table import HARMONISERS, harmoniser_class
from training.harmonisers.base import common_levels
from training.harmonisers.compositing import composite

SMALL = {
    "singan": SinGANConfig(coarsest_px=12, width=4, layers=3, iterations=3),
    "gpnn": GPNNConfig(coarsest_px=9),
    "gpdm": GPDMConfig(coarsest_px=9, steps=10),
}
"""Settings with which a kind is fitted in a moment."""
TRAINED = {"singan"}
"""Kinds that give their reference back as far as they were trained: `tests/training/test_fidelity.py` holds that."""
GIVES_BACK = {
    # A patch's own neighbour is at the distance 0, up to float32's rounding of squares, about 1e-6: what wins instead
    # of it differs by the root of that.
    "gpnn": 1e-3,
    # The denoiser has the least squared error of all where the reference's patches lie behind the noise, and so less
    # than one that leaves the noise in: the last sigma.
    "patch_diffusion": PatchDiffusionConfig.sigmas[-1],
    # Its patches are distributed as the reference's from the beginning, but for rounding.
    "gpdm": 1e-4,
}
"""RMSE, on [-1, 1], with which the other kinds give their reference back at the finest level."""


@pytest.fixture(scope="module")
def reference():
    """A noisy slice with a dark blob."""
    image = np.random.default_rng(0).normal(0.3, 0.2, (24, 20))
    tumour = np.zeros(image.shape, dtype=bool)
    tumour[8:16, 6:14] = True
    image[tumour] -= 0.6
    return Reference("case_1", 3, "given", image.clip(-1, 1).astype(np.float32), tumour)


@pytest.fixture(scope="module")
def fit(reference, tmp_path_factory):
    """A function that fits a harmoniser of a kind by a seed."""

    def fit(kind, seed=0):
        harmoniser = harmoniser_class(kind)
        settings = SMALL.get(kind) or harmoniser.Settings()
        return harmoniser.fit(reference, settings, tmp_path_factory.mktemp(kind), seed, "32-true")

    return fit


@pytest.fixture(scope="module", params=HARMONISERS)
def fitted(request, fit):
    """A kind's name, and a fitted harmoniser of it."""
    return request.param, fit(request.param)


@pytest.fixture
def slices():
    """Float32 (B, Y, X) in [-1, 1], of another size than the reference."""
    return np.random.default_rng(1).uniform(-1, 1, (3, 31, 27)).astype(np.float32)


def noise():
    return torch.Generator().manual_seed(7)


def test_same_seed_gives_the_same_harmoniser(fitted, fit, slices):
    kind, harmoniser = fitted
    again = fit(kind)
    for level in harmoniser.levels:
        found = harmoniser.apply(slices, level, noise())
        np.testing.assert_array_equal(found, again.apply(slices, level, noise()))


def test_slices_keep_their_shape_type_and_range_at_every_level(fitted, slices):
    _, harmoniser = fitted
    assert len(harmoniser.levels) > 0
    for level in harmoniser.levels:
        result = harmoniser.apply(slices, level, noise())
        assert (result.shape, result.dtype) == (slices.shape, np.float32)
        assert np.isfinite(result).all()
        assert np.abs(result).max() <= 1


def test_slices_that_are_given_stay_as_they_were(fitted, slices):
    before = slices.copy()
    fitted[1].apply(slices, fitted[1].levels[-1], noise())
    np.testing.assert_array_equal(slices, before)


@pytest.mark.parametrize("kind", [kind for kind in HARMONISERS if kind not in TRAINED])
def test_reference_is_given_back_at_the_finest_level(kind, fit, reference):
    harmoniser = fit(kind)
    (result,) = harmoniser.apply(reference.image[None], harmoniser.levels[-1], noise())
    assert np.sqrt(np.square(result - reference.image).mean()) < GIVES_BACK[kind]


def test_slice_does_not_depend_on_those_beside_it(fitted, slices):
    _, harmoniser = fitted
    level = harmoniser.levels[0]
    together = harmoniser.apply(slices, level)
    for index in range(len(slices)):
        alone = harmoniser.apply(slices[index : index + 1], level)
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)


def test_image_outside_the_mask_is_untouched_after_compositing(fitted, slices):
    _, harmoniser = fitted
    mask = np.zeros(slices.shape, dtype=bool)
    mask[1, 10:18, 9:16] = True
    source = -slices
    settings = TransferConfig(rim_px=0.0, edge_px=0.0)
    for level in harmoniser.levels:
        result = composite(source, mask, slices, settings, harmonise=harmoniser.at_level(level, noise())).harmonised
        np.testing.assert_array_equal(result[~mask], slices[~mask])
        assert not np.array_equal(result[mask], slices[mask])


def test_saved_harmoniser_is_read_as_it_was(fitted, slices, tmp_path):
    _, harmoniser = fitted
    paths = harmoniser.save(tmp_path)
    assert paths
    assert all(path.is_file() and path.parent == tmp_path for path in paths)
    again = type(harmoniser).load(tmp_path)
    assert again.levels == harmoniser.levels
    for level in harmoniser.levels:
        found = harmoniser.apply(slices, level, noise())
        np.testing.assert_array_equal(found, again.apply(slices, level, noise()))


@pytest.mark.parametrize("beyond", ["below", "above"])
def test_level_that_it_does_not_have_is_refused(fitted, slices, beyond):
    levels = fitted[1].levels
    level = levels.start - 1 if beyond == "below" else levels.stop
    with pytest.raises(ValueError, match=rf"level must be from {levels.start} to {levels.stop - 1}, got {level}"):
        fitted[1].apply(slices, level)


def test_without_a_level_nothing_is_harmonised(fitted):
    assert fitted[1].at_level(None) is None


def test_previews_are_slices(fitted, reference):
    previews = fitted[1].previews(reference.image)
    assert previews
    assert all(image.shape == reference.image.shape for image in previews.values())


def test_settings_name_their_kind(fitted):
    kind, harmoniser = fitted
    assert harmoniser.Settings().kind == kind


def test_levels_in_common_are_those_that_all_have(fitted):
    _, harmoniser = fitted
    assert common_levels([harmoniser, harmoniser]) == harmoniser.levels


def test_planned_levels_are_those_of_the_fitted_harmoniser(fitted, reference):
    kind, harmoniser = fitted
    settings = SMALL.get(kind) or harmoniser.Settings()
    assert harmoniser.planned_levels(settings, reference.image.shape) in (None, harmoniser.levels)
