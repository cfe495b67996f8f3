import numpy as np
import pytest
import torch
from scipy import ndimage

from training.gan.alignment import CORRECTIONS, REACH, Alignment, agreement, shift_between


@pytest.fixture
def anatomy():
    """A smooth random image (1, 1, 48, 64) in [-1, 1]."""
    noise = np.random.default_rng(0).normal(size=(48, 64))
    image = ndimage.gaussian_filter(noise, 2.5)
    return torch.from_numpy(image / np.abs(image).max()).float()[None, None]


def moved(image: torch.Tensor, rows: float, columns: float) -> torch.Tensor:
    return torch.from_numpy(ndimage.shift(image.numpy(), (0, 0, rows, columns), order=3, mode="nearest"))


@pytest.mark.parametrize("way", [(0.0, 0.0), (2.0, 0.0), (-1.5, 0.0), (0.0, 1.25), (1.0, -1.0)])
def test_shift_is_told_across_another_contrast(anatomy, way):
    other = (0.3 - moved(anatomy, *way)).abs().sqrt() - 0.5
    assert shift_between(anatomy, other) == pytest.approx(way, abs=0.25)


def test_shift_back_has_the_other_sign(anatomy):
    other = -moved(anatomy, 1.5, 0)
    there, back = shift_between(anatomy, other)[0], shift_between(other, anatomy)[0]
    assert there == pytest.approx(-back, abs=0.2)
    assert there > 1


def test_agreement_is_the_normalised_gradient_field(anatomy):
    other = moved(anatomy, 0.7, 0.4).square()
    kernel = np.outer(ramp := np.array([1, 4, 6, 4, 1]) / 16, ramp)
    smooth = [ndimage.convolve(image[0, 0].numpy(), kernel, mode="mirror") for image in (anatomy, other)]
    fields = []
    for image in smooth:
        y, x = (np.roll(image, -1, axis) - np.roll(image, 1, axis) for axis in (0, 1))
        inner = slice(1, -1), slice(1, -1)
        length = np.sqrt(y**2 + x**2 + (y[inner] ** 2 + x[inner] ** 2).mean())
        fields.append((y / length, x / length))
    inner = slice(1 + REACH, -1 - REACH), slice(1 + REACH, -1 - REACH)
    (a, b), (c, d) = fields
    expected = ((a * c + b * d) ** 2)[inner].mean()
    assert float(agreement(anatomy, other, -2)[REACH]) == pytest.approx(expected, rel=1e-4)


def test_images_that_cannot_be_moved_so_far_are_refused():
    with pytest.raises(ValueError, match="more than 8 rows"):
        agreement(torch.zeros(1, 1, 8, 32), torch.zeros(1, 1, 8, 32), -2)


def test_images_without_edges_count_as_unmoved():
    flat = torch.zeros(1, 1, 32, 32)
    alignment = Alignment(iterations=100)
    alignment.look((flat, flat), (flat, flat))
    alignment.correct(10)
    assert np.isfinite(alignment.rows)


def test_what_both_generators_shift_is_corrected_little_by_little(anatomy):
    alignment = Alignment(iterations=100)
    alignment.look((anatomy, moved(anatomy, 1, 0)), (anatomy, moved(anatomy, -1, 0)))
    assert alignment.shift == pytest.approx(1, abs=0.1)
    alignment.correct(10)
    assert alignment.rows == pytest.approx(CORRECTIONS / 10 * alignment.shift)
    alignment.correct(20)
    assert alignment.rows == pytest.approx(CORRECTIONS * 30 / 100 * alignment.shift)


def test_edges_that_agree_best_out_of_reach_correct_nothing(anatomy):
    alignment = Alignment(iterations=100)
    alignment.look((anatomy, moved(anatomy, REACH + 2, 0)), (anatomy, moved(anatomy, -REACH - 2, 0)))
    alignment.correct(10)
    assert abs(alignment.shift) == REACH
    assert alignment.rows == 0


def test_alignment_that_is_off_measures_and_leaves_things_as_they_are(anatomy):
    alignment = Alignment(iterations=0)
    alignment.look((anatomy, moved(anatomy, 1, 0)), (anatomy, moved(anatomy, -1, 0)))
    alignment.correct(1)
    assert alignment.shift == pytest.approx(1, abs=0.1)
    assert alignment.rows == 0
