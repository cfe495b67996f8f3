"""Tumours of pseudo-labels take in what looks like their core, and nothing else."""

import numpy as np
import pytest

from training.pseudo_labels.growing import grown_tumour
from vestibule.editions import get_edition

EDITION = get_edition(2021)
TUMOUR, COCHLEA = 1, 2
BRAIN, BONE, FLUID, FLESH = -0.65, -0.95, 0.8, -0.4


def box(shape, rows, columns):
    """A box of three slices in the middle of seven (Z, Y, X)."""
    mask = np.zeros(shape, dtype=bool)
    mask[2:5, slice(*rows), slice(*columns)] = True
    return mask


@pytest.fixture
def scene():
    """T2 of a tumour between brain, bone and fluid, with noise, and where the tumour is."""
    shape = (7, 30, 40)
    image = np.full(shape, BRAIN, dtype=np.float32)
    image[:, :10] = BONE
    image[:, 10:20, 28:] = FLUID
    true = box(shape, (10, 20), (16, 28))
    image[true] = FLESH
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return (image + noise).astype(np.float32), true


def labels_of(mask, value=TUMOUR):
    return np.where(mask, value, 0).astype(np.uint8)


def test_mask_that_is_a_voxel_too_small_becomes_the_tumour(scene):
    image, true = scene
    small = box(true.shape, (11, 19), (17, 27))
    grown = grown_tumour(image, labels_of(small), EDITION)
    # All but the corners, which touch the mask nowhere, and but for a voxel in a hundred, which is noise.
    missed = true & (grown == 0)
    assert missed.sum() <= 12 + true.sum() / 100
    assert not (grown[~true] == TUMOUR).any()
    assert grown.dtype == np.uint8


def test_mask_that_is_right_stays(scene):
    image, true = scene
    assert (grown_tumour(image, labels_of(true), EDITION) == labels_of(true)).all()


def test_slices_above_and_below_and_other_structures_are_left_alone(scene):
    image, true = scene
    image[:] = FLESH
    labels = labels_of(true)
    beside = box(true.shape, (10, 20), (28, 29))
    labels[beside] = COCHLEA
    grown = grown_tumour(image, labels, EDITION)
    assert (grown[beside] == COCHLEA).all()
    assert not grown[[1, 5]].any()
    # On the other side a column is taken in.
    assert (grown[2:5, 10:20, 15] == TUMOUR).all()


def test_voxels_join_the_nearest_part_of_a_tumour_in_two_parts(scene):
    image, true = scene
    edition = get_edition(2023)
    image[:] = FLESH
    labels = labels_of(true)
    labels[:, :, 22:][true[:, :, 22:]] = 2
    grown = grown_tumour(image, labels, edition)
    assert (grown[2:5, 10:20, 15] == 1).all()
    assert (grown[2:5, 10:20, 28] == 2).all()


def test_case_without_a_tumour_stays_and_a_speck_is_its_own_core(scene):
    image, true = scene
    nothing = np.zeros(true.shape, np.uint8)
    assert not grown_tumour(image, nothing, EDITION).any()
    speck = nothing.copy()
    speck[3, 15, 20] = TUMOUR
    assert (grown_tumour(image, speck, EDITION) == TUMOUR).sum() == 5
