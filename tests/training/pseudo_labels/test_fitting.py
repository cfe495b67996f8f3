from dataclasses import replace

import numpy as np
import pytest

from training.data.slices import PreparedCase
from training.pseudo_labels.fitting import fit_cochleae, typical_volume, write_fitted
from vestibule.editions import get_edition

EDITION = get_edition(2021)
TUMOUR, COCHLEA = 1, 2
SPACING = (1.2, 1.2, 1.2)
VOXEL_MM3 = 1.2**3


def ball(centre, radius, shape=(12, 20, 40)):
    """Voxels (Z, Y, X) within a ball."""
    grid = np.indices(shape)
    offsets = grid - np.reshape(centre, (3, 1, 1, 1))
    return (offsets**2).sum(axis=0) <= radius**2


@pytest.fixture
def ears():
    """True cochleae on both sides, and T2 that shows them: bright fluid in dark bone."""
    true = ball((6, 10, 8), 2) | ball((6, 10, 31), 2)
    image = np.where(true, 0.5, -0.95).astype(np.float32)
    return true, image


@pytest.fixture
def save(tmp_path):
    """A prepared case with an image and a label."""

    def of(name, labels, image=None):
        label_path = tmp_path / f"{name}_label.npy"
        np.save(label_path, labels)
        image_path = tmp_path / f"{name}.npy"
        np.save(image_path, np.zeros(labels.shape) if image is None else image)
        return PreparedCase(name, "target", "", image_path, label_path, (2.0, 1.0, 1.0), (), ())

    return of


def overlap(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_mask_that_is_too_large_and_beside_the_fluid_is_cut_to_what_the_image_shows(ears):
    true, image = ears
    # A voxel too large on all sides, and a row too far down.
    wide = ball((6, 11, 8), 3) | ball((6, 11, 31), 3)
    labels = np.where(wide, COCHLEA, 0).astype(np.uint8)
    fitted = fit_cochleae(labels, image, SPACING, true.sum() / 2 * VOXEL_MM3, EDITION)
    assert overlap(wide, true) < 0.7
    assert overlap(fitted == COCHLEA, true) == 1.0
    assert fitted.dtype == np.uint8


def test_mask_that_is_too_small_grows_into_the_fluid(ears):
    true, image = ears
    small = ball((6, 10, 8), 1) | ball((6, 10, 31), 1)
    labels = np.where(small, COCHLEA, 0).astype(np.uint8)
    fitted = fit_cochleae(labels, image, SPACING, true.sum() / 2 * VOXEL_MM3, EDITION) == COCHLEA
    assert overlap(fitted, true) > overlap(small, true)


def test_other_structures_keep_their_voxels_and_an_ear_without_a_cochlea_gets_none(ears):
    true, image = ears
    tumour = ball((6, 13, 8), 2) & ~ball((6, 10, 8), 1)
    labels = np.where(ball((6, 10, 8), 1), COCHLEA, 0).astype(np.uint8)
    labels[tumour] = TUMOUR
    fitted = fit_cochleae(labels, image, SPACING, true.sum() / 2 * VOXEL_MM3, EDITION)
    assert ((fitted == TUMOUR) == tumour).all()
    assert (fitted[:, :, :20] == COCHLEA).any()
    assert not (fitted[:, :, 20:] == COCHLEA).any()


def test_cochlea_that_would_have_to_reach_far_stays_smaller(ears):
    _, image = ears
    small = ball((6, 10, 8), 1)
    labels = np.where(small, COCHLEA, 0).astype(np.uint8)
    fitted = fit_cochleae(labels, image, SPACING, 1000 * VOXEL_MM3, EDITION)
    assert small.sum() < (fitted == COCHLEA).sum() < 100


def test_typical_volume_is_the_median_of_labels_that_show_cochleae_each_once(save):
    def with_voxels(number):
        labels = np.zeros((2, 4, 10), np.uint8)
        labels[0].flat[:number] = COCHLEA
        return labels

    large = save("large", with_voxels(12))
    cases = [save("small", with_voxels(4)), large, replace(large, name="altered"), save("none", with_voxels(0))]
    # 8 and 24 mm³; the altered copy has the large one's label.
    assert typical_volume(cases, EDITION) == 16.0
    assert typical_volume(cases[-1:], EDITION) is None


def test_fitted_mask_is_written_beside_the_one_that_was_found(save, ears, tmp_path):
    true, image = ears
    labels = np.where(ball((6, 10, 8), 3), COCHLEA, 0).astype(np.uint8)
    case = save("a", labels, image)
    fitted = write_fitted(case, 2.0 * true.sum(), EDITION, tmp_path / "fitted")
    assert fitted.label_path == tmp_path / "fitted" / "a.npy"
    assert (np.asarray(fitted.labels) == COCHLEA).sum() == true.sum() // 2
    assert (np.asarray(case.labels) == labels).all()
    # Labels of T1 without cochleae tell no volume.
    unchanged = write_fitted(case, None, EDITION, tmp_path / "fitted")
    assert (np.asarray(unchanged.labels) == labels).all()
