import numpy as np
import pytest

from training.config import TransferConfig
from training.harmonisers.compositing import composite
from training.harmonisers.poisson import poisson_blend


def disc():
    mask = np.zeros((2, 12, 12), dtype=bool)
    mask[0, 4:8, 3:9] = True
    return mask


def test_one_pixel_is_the_mean_of_its_neighbours_and_the_guides_step():
    mask = np.zeros((1, 5, 5), dtype=bool)
    mask[0, 2, 2] = True
    background = np.arange(25, dtype=np.float32).reshape(1, 5, 5)
    guide = np.zeros_like(background)
    guide[0, 2, 2] = 3.0
    # Four neighbours 7, 11, 13, 17 have mean 12, and the guide stands 3 above each of its own.
    assert poisson_blend(guide, mask, background)[0, 2, 2] == pytest.approx(15.0)


def test_inside_has_the_guides_laplacian_and_outside_is_untouched():
    guide, background = np.random.default_rng(0).normal(size=(2, 2, 12, 12)).astype(np.float32)
    blended = poisson_blend(guide, disc(), background)
    np.testing.assert_array_equal(blended[~disc()], background[~disc()])

    def laplacian(image):
        around = sum(np.roll(image, shift, axis) for axis in (1, 2) for shift in (-1, 1))
        return (4 * image - around)[disc()]

    np.testing.assert_allclose(laplacian(blended), laplacian(guide), atol=1e-4)


def test_shifted_guide_blends_into_the_background_without_a_seam():
    background = np.random.default_rng(1).normal(size=(2, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(poisson_blend(background + 0.7, disc(), background), background, atol=1e-5)


@pytest.mark.parametrize("box", [np.s_[0, :4, :4], np.s_[0, 8:, 3:9], np.s_[1, :, :5], np.s_[0, 5, 5]])
def test_masks_at_the_images_edge_are_solved(box):
    guide, background = np.random.default_rng(2).normal(size=(2, 2, 12, 12)).astype(np.float32)
    mask = np.zeros((2, 12, 12), dtype=bool)
    mask[box] = True
    blended = poisson_blend(guide, mask, background)
    assert np.isfinite(blended).all()
    np.testing.assert_array_equal(blended[~mask], background[~mask])


def test_slice_that_is_all_mask_takes_the_guide():
    guide, background = np.random.default_rng(3).normal(size=(2, 1, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(poisson_blend(guide, np.ones_like(guide, dtype=bool), background), guide)


def test_transfer_by_gradients_moves_the_tumour_to_the_backgrounds_level():
    erased = np.full((2, 40, 40), 0.5, dtype=np.float32)
    source = np.full((2, 40, 40), -0.5, dtype=np.float32)
    mask = np.zeros(source.shape, dtype=bool)
    mask[0, 15:25, 15:25] = True
    source[mask] -= 0.25
    config = TransferConfig(blending="poisson")
    blended = composite(source, mask, erased, config).harmonised
    # Level 0.5 at the border, and 0.25 below it as on the source.
    assert blended[mask] == pytest.approx(0.25, abs=1e-5)
    np.testing.assert_array_equal(blended[~mask], erased[~mask])


def test_transfer_without_blending_leaves_the_tumour_erased():
    source, erased = np.random.default_rng(4).uniform(-1, 1, (2, 2, 40, 40)).astype(np.float32)
    mask = np.zeros(source.shape, dtype=bool)
    mask[0, 15:25, 15:25] = True
    result = composite(source, mask, erased, TransferConfig(blending="none"))
    np.testing.assert_array_equal(result.harmonised, erased)


def test_unknown_blending_is_refused():
    with pytest.raises(ValueError, match=r"one of .*poisson"):
        TransferConfig(blending="alpha")
