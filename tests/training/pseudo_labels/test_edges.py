"""Tumours of pseudo-labels end at the edges of the image, and nothing else changes."""

import numpy as np
import pytest

from tests.training.pseudo_labels.test_growing import BRAIN, COCHLEA, EDITION, FLESH, TUMOUR, box, labels_of
from training.pseudo_labels.edges import tumour_to_its_edges
from vestibule.editions import get_edition

SPACING = (1.5, 1.2, 1.2)


@pytest.fixture
def scene():
    """T2 of a tumour in brain, with noise, and where the tumour is."""
    shape = (7, 30, 40)
    image = np.full(shape, BRAIN, dtype=np.float32)
    true = box(shape, (10, 20), (16, 28))
    image[true] = FLESH
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return (image + noise).astype(np.float16), true


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


@pytest.mark.parametrize(("rows", "columns"), [((11, 19), (17, 27)), ((9, 21), (15, 29)), ((11, 21), (17, 29))])
def test_mask_too_small_too_large_or_beside_becomes_the_tumour(scene, rows, columns):
    image, true = scene
    mask = box(true.shape, rows, columns)
    found = tumour_to_its_edges(image, labels_of(mask), SPACING, EDITION)
    assert dice(mask, true) < 0.9
    assert dice(found == TUMOUR, true) > 0.98
    assert found.dtype == np.uint8


def test_mask_that_is_right_stays(scene):
    image, true = scene
    assert (tumour_to_its_edges(image, labels_of(true), SPACING, EDITION) == labels_of(true)).all()


def test_other_structures_keep_their_voxels(scene):
    image, true = scene
    labels = labels_of(box(true.shape, (11, 19), (17, 27)))
    beside = box(true.shape, (11, 19), (27, 28))
    labels[beside] = COCHLEA
    found = tumour_to_its_edges(image, labels, SPACING, EDITION)
    assert ((found == COCHLEA) == beside).all()


def test_voxels_join_the_nearest_part_of_a_tumour_in_two_parts(scene):
    image, true = scene
    small = box(true.shape, (11, 19), (17, 27))
    labels = labels_of(small)
    labels[small & (np.arange(40) >= 22)] = 2
    found = tumour_to_its_edges(image, labels, SPACING, get_edition(2023))
    assert (found[2:5, 12:18, 16] == 1).all()
    assert (found[2:5, 12:18, 27] == 2).all()


def test_piece_without_a_core_and_a_case_without_a_tumour_stay(scene):
    image, true = scene
    labels = labels_of(true)
    labels[3, 25, 5] = TUMOUR
    assert tumour_to_its_edges(image, labels, SPACING, EDITION)[3, 25, 5] == TUMOUR
    nothing = np.zeros_like(labels)
    assert not tumour_to_its_edges(image, nothing, SPACING, EDITION).any()


def test_edges_that_leave_little_of_a_tumour_are_not_believed(scene):
    image, true = scene
    labels = np.zeros(true.shape, dtype=np.uint8)
    labels[3, 24:27, 4:7] = TUMOUR
    image[3, 25, 5] = FLESH
    assert (tumour_to_its_edges(image, labels, SPACING, EDITION) == labels).all()


def test_tumour_at_the_border_of_the_image_is_no_fault(scene):
    image, true = scene
    cut = image[2:, 10:, 16:]
    found = tumour_to_its_edges(cut, labels_of(true)[2:, 10:, 16:], SPACING, EDITION)
    assert dice(found == TUMOUR, true[2:, 10:, 16:]) > 0.98
