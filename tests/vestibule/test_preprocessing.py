import numpy as np
import pytest

from vestibule.errors import InputError
from vestibule.preprocessing import (
    PreprocessingConfig,
    bright_centre,
    labels_to_original,
    mask_to_working,
    scale_to_unit,
    to_working,
)
from vestibule.volume import Geometry, Volume, reorient

CONFIG = PreprocessingConfig(spacing_yx_mm=(1.0, 1.0), size_yx=(32, 32), centre="bright")
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def rotation(degrees: float) -> tuple[float, ...]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return tuple(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).ravel().tolist())


def head(size=(6, 50, 60), spacing=(2.0, 0.7, 0.7), direction=IDENTITY) -> tuple[Volume, Volume]:
    """A disc of a head with a bright square in it, and the square's mask."""
    geometry = Geometry(size, spacing, (-20.0, 15.0, 3.0), direction)
    _, y, x = np.mgrid[tuple(slice(n) for n in size)]
    image = np.where((y - 25) ** 2 + (x - 30) ** 2 < 18**2, 100.0, 0.0)
    mask = (abs(y - 24) < 11) & (abs(x - 29) < 11) & (np.arange(size[0]) % 5 > 0)[:, None, None]
    return Volume((image + 80 * mask).astype(np.float32), geometry), Volume(mask.astype(np.uint8), geometry)


def as_probabilities(labels: np.ndarray, classes: int = 3) -> np.ndarray:
    return np.stack([labels == value for value in range(classes)]).astype(np.float32)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(
    "direction", [IDENTITY, rotation(7), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0), (0, 1.0, 0, 1.0, 0, 0, 0, 0, -1.0)]
)
def test_mask_goes_to_the_working_grid_and_back(direction):
    image, mask = head(direction=direction)
    working = to_working(image, CONFIG)
    moved = mask_to_working(mask, working.geometry)
    back = labels_to_original(as_probabilities(moved), working.geometry, image.geometry)
    assert back.geometry == image.geometry
    assert back.voxels.dtype == np.uint8
    assert overlap(back.voxels > 0, mask.voxels > 0) > 0.93


def test_image_of_the_working_spacing_keeps_its_own_voxels_and_its_labels_lie_where_they_lay():
    image, mask = head(spacing=(2.0, 1.0, 0.7))
    working = to_working(image, CONFIG)
    # Rows are of the same spacing, and columns are not.
    first = image.geometry.to_index(working.geometry.to_patient(np.zeros(3)))
    assert first[1] == pytest.approx(round(first[1]), abs=1e-9)
    assert first[0] != pytest.approx(round(first[0]), abs=0.01)
    same, mask = head(spacing=(2.0, 1.0, 1.0))
    working = to_working(same, CONFIG)
    values = np.unique(working.voxels)
    assert values.tolist() == np.unique(scale_to_unit(same.voxels, CONFIG.percentiles)).tolist()
    moved = mask_to_working(mask, working.geometry)
    np.testing.assert_array_equal(moved > 0, working.voxels == 1)


def test_same_grid_gives_the_mask_back_exactly():
    _, mask = head()
    moved = mask_to_working(mask, mask.geometry)
    np.testing.assert_array_equal(moved, mask.voxels)
    back = labels_to_original(as_probabilities(moved), mask.geometry, mask.geometry)
    np.testing.assert_array_equal(back.voxels, mask.voxels)


def test_region_is_centred_on_what_is_bright():
    image, _ = head()
    assert bright_centre(image.voxels, 75) == pytest.approx((24, 29), abs=1)
    assert bright_centre(np.zeros((2, 5, 7)), 75) == (2, 3)


def test_flipped_image_gives_the_same_working_array():
    image, _ = head()
    flipped = reorient(image, "RAI")
    assert not np.array_equal(flipped.voxels, image.voxels)
    np.testing.assert_allclose(to_working(flipped, CONFIG).voxels, to_working(image, CONFIG).voxels, atol=1e-4)


def test_working_volume_is_on_its_grid_and_in_range():
    image, _ = head()
    working = to_working(image, CONFIG)
    assert working.voxels.shape == (6, 32, 32)
    assert working.geometry.spacing_zyx == (2.0, 1.0, 1.0)
    assert working.voxels.dtype == np.float32
    assert working.voxels.min() == -1
    assert working.voxels.max() == 1


def test_percentiles_become_the_ends_of_the_range():
    values = np.arange(101, dtype=np.float32)
    scaled = scale_to_unit(values, (10, 90))
    assert scaled[10] == pytest.approx(-1)
    assert scaled[50] == pytest.approx(0)
    assert scaled[90] == pytest.approx(1)
    assert scaled[0] == -1
    assert scaled[100] == 1


def test_single_intensity_is_refused():
    with pytest.raises(InputError, match="single intensity"):
        scale_to_unit(np.full((2, 8, 8), 3.0), (0.5, 99.5))


def test_label_is_kept_where_it_fills_half_of_a_voxel():
    geometry = Geometry((2, 8, 8), (1.0, 0.5, 0.5), (0.0, 0.0, 0.0), IDENTITY)
    labels = np.zeros((2, 8, 8), dtype=np.uint8)
    labels[:, :, :4] = 2
    coarse = Geometry((2, 4, 4), (1.0, 1.0, 1.0), (0.25, 0.25, 0.0), IDENTITY)
    np.testing.assert_array_equal(mask_to_working(Volume(labels, geometry), coarse)[0, 0], [2, 2, 0, 0])


def test_everything_outside_the_region_is_background():
    geometry = Geometry((2, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), IDENTITY)
    working = Geometry((2, 8, 8), (1.0, 1.0, 1.0), (10.0, 12.0, 0.0), IDENTITY)
    result = labels_to_original(as_probabilities(np.full((2, 8, 8), 2)), working, geometry).voxels
    assert (result[:, 12:20, 10:18] == 2).all()
    assert (result == 2).sum() == 2 * 8 * 8


def test_bundle_that_names_no_centre_keeps_the_rule_it_was_trained_with():
    values = {"spacing_yx_mm": [2.0, 2.0], "size_yx": [32, 32], "roi_percentile": 75.0}
    assert PreprocessingConfig.from_bundle(values) == PreprocessingConfig((2.0, 2.0), (32, 32), centre="bright")
    assert PreprocessingConfig.from_bundle({**values, "centre": "head"}).centre == "head"


@pytest.mark.parametrize(
    "values",
    [{"size_yx": (30, 32)}, {"spacing_yx_mm": (0.0, 1.0)}, {"percentiles": (99.0, 1.0)}, {"centre": "middle"}],
)
def test_impossible_configuration_is_refused(values):
    with pytest.raises(ValueError, match="must"):
        PreprocessingConfig(**values)


def test_t2_may_have_percentiles_of_its_own_and_t1_keeps_the_others():
    image, _ = head()
    config = PreprocessingConfig(CONFIG.spacing_yx_mm, CONFIG.size_yx, target_percentiles=(0.5, 60.0), centre="bright")
    t1, t2 = (to_working(image, config, is_target=is_target).voxels for is_target in (False, True))
    np.testing.assert_array_equal(t1, to_working(image, CONFIG).voxels)
    # All that lies above the 60th percentile is alike.
    assert (t2 == 1).mean() == pytest.approx(0.4, abs=0.1)
    assert (t1 == 1).mean() < (t2 == 1).mean()


def test_bundle_without_percentiles_of_t2_uses_those_of_all():
    values = {"spacing_yx_mm": [1.0, 1.0], "size_yx": [32, 32], "percentiles": [1.0, 99.0]}
    assert PreprocessingConfig.from_bundle(values).percentiles_of_target == (1.0, 99.0)
    clipped = PreprocessingConfig.from_bundle({**values, "target_percentiles": [0.5, 95.0]})
    assert clipped.percentiles_of_target == (0.5, 95.0)
    with pytest.raises(ValueError, match=r"percentiles must rise within 0 to 100, got \(95, 5\)"):
        PreprocessingConfig(target_percentiles=(95, 5))
