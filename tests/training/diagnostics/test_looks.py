"""What copies are compared with, by images whose answer is known."""

import numpy as np
import pytest

from training.data.reference_slice import Reference
from training.diagnostics.looks import SliceLook, TumourLook, edges_kept, intensities_kept, look_of, window_around
from training.harmonisers.compositing import Composite
from vestibule.errors import InputError


def noisy(seed=0):
    """A slice of weak noise, float32 (3, 40, 40)."""
    return np.random.default_rng(seed).normal(0.5, 0.02, (3, 40, 40)).astype(np.float32)


@pytest.fixture
def mask():
    square = np.zeros((3, 40, 40), dtype=bool)
    square[1, 15:25, 15:25] = True
    return square


def pasted(mask, harmonised, bright=0.9):
    """A bright copy in a flat background, and what became of it."""
    background = noisy()
    naive = np.where(mask, bright, background).astype(np.float32)
    return Composite(background, naive, harmonised, entered=naive)


def test_shape_is_kept_where_the_inside_of_the_outline_looks_like_the_tumour():
    mask = np.zeros((3, 40, 40), dtype=bool)
    mask[1, 15:25, 15:25] = True
    image = np.where(mask, -0.5, 0.5)
    assert intensities_kept(image, mask, -0.6, -0.4) == 1.0
    image[1, 17:23, 17:23] = 0.9  # the core is not the outline's business
    assert intensities_kept(image, mask, -0.6, -0.4) == 1.0
    image[1, 15:25, 15:17] = 0.5  # the surroundings have flowed in along one side
    assert intensities_kept(image, mask, -0.6, -0.4) == pytest.approx(1 - 20 / 64)


def test_edges_are_kept_whether_the_copy_is_bright_or_dark(mask):
    dark = np.where(mask, -0.4, noisy()).astype(np.float32)
    bright = pasted(mask, dark).naive
    assert edges_kept(pasted(mask, bright), mask) == 1.0
    assert edges_kept(pasted(mask, dark), mask) > 0.9


def test_edges_are_lost_where_the_copy_dissolves(mask):
    assert edges_kept(pasted(mask, noisy()), mask) == 0.0
    assert edges_kept(pasted(mask, noisy(1)), mask) < 0.2
    half = np.where(mask & (np.arange(40) < 20), -0.4, noisy()).astype(np.float32)
    assert 0.3 < edges_kept(pasted(mask, half), mask) < 0.8


def test_copy_without_edges_of_its_own_keeps_none(mask):
    background = noisy()
    result = Composite(background, background, background, entered=background)
    assert edges_kept(result, mask) == 0.0


def test_slice_with_a_grey_copy_is_nearer_to_such_a_slice_than_one_with_a_bright_copy(mask):
    grey = np.where(mask, -0.3, noisy(1)).astype(np.float32)
    look = SliceLook(np.roll(grey[1], 4, axis=1))
    near, shape = look.measure(pasted(mask, np.where(mask, -0.3, noisy()).astype(np.float32)), mask)
    bright = pasted(mask, np.where(mask, 0.9, noisy()).astype(np.float32))
    far, _ = look.measure(bright, mask)
    gone, gone_shape = look.measure(pasted(mask, noisy()), mask)
    assert near < 0.3 * far
    # Without any tumour the slice has too little of its grey, and the shape is lost.
    assert near < 0.3 * gone
    assert (shape > 0.9, gone_shape) == (True, 0.0)


def test_window_is_as_large_as_the_reference_and_lies_in_the_slice():
    mask = np.zeros((40, 50), dtype=bool)
    mask[2:5, 30:40] = True
    rows, columns = window_around(mask, (20, 30))
    assert (rows, columns) == (slice(0, 20), slice(20, 50))
    assert window_around(mask, (60, 60)) == (slice(0, 40), slice(0, 50))


def test_reference_without_an_outlined_tumour_is_named():
    flat = np.zeros((20, 20))
    reference = Reference("case_1", 3, "given", flat, flat > 0)
    with pytest.raises(InputError, match="case_1, slice 3: shows no outlined tumour"):
        look_of(reference, outlined=True)
    assert isinstance(look_of(reference, outlined=False), SliceLook)


def test_outlined_tumour_without_a_whole_patch_in_the_copy_has_no_distance():
    image = np.random.default_rng(0).normal(0, 0.1, (20, 20))
    tumour = np.zeros((20, 20), dtype=bool)
    tumour[8:12, 8:12] = True
    look = look_of(Reference("case_1", 3, "given", image, tumour), outlined=True)
    assert isinstance(look, TumourLook)
    mask = np.zeros((3, 40, 40), dtype=bool)
    mask[1, 0, 0] = True
    distance, shape = look.measure(pasted(mask, noisy()), mask)
    assert np.isnan(distance)
    assert shape == 0.0
