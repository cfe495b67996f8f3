import numpy as np
import pytest

from training.diagnostics.patches import (
    PATCH_PX,
    laplacian_pyramid,
    patches_of,
    pyramid_distance,
    sliced_wasserstein,
    upsample,
)


def noise(seed, shape=(40, 36)):
    return np.random.default_rng(seed).normal(size=shape)


def test_bands_sum_to_the_image():
    image = noise(0)
    fine, middle, rest = laplacian_pyramid(image, 3)
    rebuilt = fine + upsample(middle + upsample(rest, middle.shape), fine.shape)
    np.testing.assert_allclose(rebuilt, image, atol=1e-9)


@pytest.mark.parametrize(("levels", "shape"), [(0, (40, 40)), (3, (27, 40))])
def test_too_many_levels_are_refused(levels, shape):
    with pytest.raises(ValueError, match="levels need a side"):
        laplacian_pyramid(np.zeros(shape), levels)


def test_patches_are_whole_and_lie_around_their_centres():
    image = np.arange(100.0).reshape(10, 10)
    assert patches_of(image).shape == (4 * 4, PATCH_PX**2)
    centres = np.zeros(image.shape, dtype=bool)
    centres[4, 5], centres[0, 0] = True, True  # the second has no whole patch
    (only,) = patches_of(image, centres)
    assert only[PATCH_PX**2 // 2] == image[4, 5]


def test_same_patches_have_no_distance_and_a_shift_has_the_mean_of_its_projections():
    patches = patches_of(noise(1))
    assert sliced_wasserstein(patches, patches, np.random.default_rng(0)) == 0
    found = sliced_wasserstein(patches, patches + 0.25, np.random.default_rng(0))
    directions = np.random.default_rng(0).normal(size=(PATCH_PX**2, 128))
    by_hand = np.abs(0.25 * directions.sum(axis=0) / np.linalg.norm(directions, axis=0)).mean()
    assert found == pytest.approx(by_hand)


def test_sets_of_different_sizes_are_compared_by_their_quantiles():
    patches = patches_of(noise(2))
    assert sliced_wasserstein(patches, np.repeat(patches, 3, axis=0), np.random.default_rng(0)) < 0.02
    with pytest.raises(ValueError, match="got 0"):
        sliced_wasserstein(patches[:0], patches, np.random.default_rng(0))


def test_blur_shows_in_the_finest_band_and_a_shift_in_the_coarsest():
    image = noise(3, (48, 48))
    blurred = laplacian_pyramid(image, 2)[1]
    smooth = pyramid_distance(image, upsample(blurred, image.shape), 3, np.random.default_rng(0))
    assert smooth[0] > 3 * smooth[2]
    shifted = pyramid_distance(image, image + 1, 3, np.random.default_rng(0))
    assert shifted[2] > 0.5
    assert shifted[0] == pytest.approx(0, abs=1e-9)
