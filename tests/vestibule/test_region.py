"""The finder of the ears on drawn outlines of heads: ellipses of fat and brain with dark bone between."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from vestibule.preprocessing import PreprocessingConfig, to_working, working_geometry
from vestibule.region import BACK_TO_EARS_MM, find_ears
from vestibule.volume import Geometry, Volume, reorient

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
HALF_LENGTH_MM, HALF_WIDTH_MM = 94.0, 75.0


def head(extent_mm=(60, 230, 210), spacing=(3.0, 2.0, 2.0), middle_mm=(110.0, 105.0), fat=300.0, brain=100.0):
    """A head whose middle (y, x) lies `middle_mm` from the edges of an image of `extent_mm` (z, y, x)."""
    size = tuple(round(e / s) for e, s in zip(extent_mm, spacing, strict=True))
    y, x = ((np.arange(n) + 0.5) * s - m for n, s, m in zip(size[1:], spacing[1:], middle_mm, strict=True))
    radius = np.hypot(y[:, None] / HALF_LENGTH_MM, x[None, :] / HALF_WIDTH_MM)
    plane = np.select([radius < 0.85, radius < 0.9, radius < 1], [brain, 3.0, fat], 0.0)
    noise = np.abs(np.random.default_rng(0).normal(0, 4, size))
    return Volume((plane + noise).astype(np.float32), Geometry(size, spacing, (-100.0, -100.0, 0.0), IDENTITY))


def found_mm(volume):
    """Where the finder puts the middle, (y, x) in mm from the image's edges."""
    spacing = volume.geometry.spacing_zyx[1:]
    return tuple((index + 0.5) * step for index, step in zip(find_ears(volume), spacing, strict=True))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"fat": 1000.0},
        {"fat": 60.0, "brain": 200.0},
        {"middle_mm": (125.0, 95.0)},
        {"extent_mm": (33, 230, 210), "spacing": (3.0, 1.0, 1.0)},
        {"extent_mm": (240, 240, 240), "spacing": (2.0, 2.0, 2.0), "middle_mm": (120.0, 120.0)},
        {"extent_mm": (60, 150, 180), "middle_mm": (50.0, 90.0)},
        {"extent_mm": (60, 200, 150), "middle_mm": (100.0, 60.0)},
    ],
)
def test_middle_lies_on_the_midline_a_fixed_way_before_the_back(values):
    middle = values.get("middle_mm", (110.0, 105.0))
    expected = (middle[0] + HALF_LENGTH_MM - BACK_TO_EARS_MM, middle[1])
    assert found_mm(head(**values)) == pytest.approx(expected, abs=4)


def test_back_that_the_image_cuts_off_is_estimated():
    cut = head(extent_mm=(60, 190, 210), middle_mm=(110.0, 105.0))
    assert found_mm(cut) == pytest.approx((110 + HALF_LENGTH_MM - BACK_TO_EARS_MM, 105), abs=5)


def test_bright_coil_and_dim_far_side_move_it_little():
    volume = head()
    field = np.exp(np.linspace(-1, 1, volume.voxels.shape[2]))[None, None] * np.linspace(1, 2, 115)[None, :, None]
    biased = volume.with_voxels((volume.voxels * field).astype(np.float32))
    assert found_mm(biased) == pytest.approx(found_mm(volume), abs=4)


def test_neck_below_does_not_count():
    volume = head(extent_mm=(210, 230, 210))
    neck = head(extent_mm=(210, 230, 210)).voxels
    y, x = np.mgrid[: neck.shape[1], : neck.shape[2]]
    neck = np.where(np.hypot(y - 50, x - 52) < 30, neck, 0)[:24]
    with_neck = np.concatenate([neck, volume.voxels[24:]]).astype(np.float32)
    assert found_mm(volume.with_voxels(with_neck)) == pytest.approx(found_mm(volume), abs=2)


@pytest.mark.parametrize("axes", ["RAI", "PIR", "ASL"])
def test_same_region_however_the_voxels_are_stored(axes):
    volume = head()
    config = PreprocessingConfig((2.0, 2.0), (64, 64))
    working = to_working(volume, config).geometry
    assert to_working(reorient(volume, axes), config).geometry.describes(working)


@pytest.mark.parametrize(
    "volume",
    [
        head(extent_mm=(60, 90, 210)),
        head(extent_mm=(60, 230, 70), middle_mm=(110.0, 35.0)),
        head().with_voxels(np.zeros(head().voxels.shape, np.float32)),
    ],
    ids=["most of its back cut off", "too narrow for a head", "nothing"],
)
def test_no_guess_where_no_head_is_seen(volume):
    assert find_ears(volume) is None


def test_larger_region_is_taken_and_told_where_the_ears_are_not_found(caplog):
    volume = replace(head(extent_mm=(60, 90, 210)), name="case_7")
    with caplog.at_level(logging.WARNING):
        geometry = working_geometry(volume, PreprocessingConfig((2.0, 2.0), (64, 48)))
    assert geometry.size_zyx == (20, 128, 96)
    assert "case_7: no outline of a head" in caplog.text
    middle = geometry.to_patient((np.array(geometry.size_zyx[::-1]) - 1) / 2)
    expected = volume.geometry.to_patient((np.array(volume.geometry.size_zyx[::-1]) - 1) / 2)
    # Half a voxel of 2 mm at most, since the image's own voxels are taken.
    np.testing.assert_allclose(middle, expected, atol=1.0)


def test_found_region_warns_of_nothing(caplog):
    with caplog.at_level(logging.WARNING):
        assert working_geometry(head(), PreprocessingConfig((2.0, 2.0), (64, 48))).size_zyx == (20, 64, 48)
    assert not caplog.text
