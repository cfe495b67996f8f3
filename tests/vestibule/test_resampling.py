"""Grids in the patient, and images brought from one to another."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, read_volume, reorient, to_image, write_volume

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = tuple(Rotation.from_euler("xyz", (11, -23, 7), degrees=True).as_matrix().ravel().tolist())
SAGITTAL = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def volume_of(direction=AXIAL, dtype=np.int16):
    voxels = np.random.default_rng(1).integers(0, 200, (5, 6, 7)).astype(dtype)
    return Volume(voxels, Geometry((5, 6, 7), (1.5, 0.5, 0.513), (-91.2, 33.1, 12.3), direction))


def test_patient_coordinates_follow_itk():
    volume = volume_of(OBLIQUE)
    wanted = to_image(volume).TransformContinuousIndexToPhysicalPoint((1.5, 2.25, 3.0))
    np.testing.assert_allclose(volume.geometry.to_patient(np.array([1.5, 2.25, 3.0])), wanted, atol=1e-9)


def test_geometry_describes_itself_and_not_a_shifted_one():
    geometry = volume_of().geometry
    shifted = Geometry(geometry.size_zyx, geometry.spacing_zyx, (-91.0, 33.1, 12.3), geometry.direction)
    other_size = Geometry((5, 6, 8), geometry.spacing_zyx, geometry.origin_xyz, geometry.direction)
    assert geometry.describes(geometry)
    assert not geometry.describes(shifted)
    assert geometry.describes(shifted, tolerance_mm=0.3)
    assert not geometry.describes(other_size)


def test_reorienting_moves_no_voxel_in_the_patient(direction):
    volume = volume_of(direction)
    turned = reorient(volume)
    assert np.diag(turned.geometry.matrix).min() > 0.5
    index_xyz = np.array([1, 2, 3])
    point = volume.geometry.to_patient(index_xyz)
    x, y, z = to_image(turned).TransformPhysicalPointToIndex(point.tolist())
    assert turned.voxels[z, y, x] == volume.voxels[3, 2, 1]


def test_image_is_called_by_its_file_whatever_becomes_of_it(tmp_path):
    path = tmp_path / "case_7.nii.gz"
    write_volume(path, volume_of(SAGITTAL))
    volume = read_volume(path)
    assert volume.name == str(path)
    part = volume.part((slice(0, 3), slice(1, 4), slice(0, 5)))
    turned = reorient(part)
    for derived in (part, turned, resample(turned, volume.geometry)):
        assert derived.name == str(path)


def test_resampling_onto_its_own_grid_changes_nothing():
    volume = volume_of(OBLIQUE, dtype=np.float32)
    np.testing.assert_allclose(resample(volume, volume.geometry).voxels, volume.voxels, atol=1e-3)


def test_resampling_a_ramp_keeps_its_values_in_the_patient():
    geometry = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    ramp = Volume(np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8, 8)), geometry)
    finer = Geometry((8, 8, 10), (1.0, 1.0, 0.5), (1.0, 0.0, 0.0), AXIAL)
    np.testing.assert_allclose(resample(ramp, finer).voxels[0, 0], 1 + 0.5 * np.arange(10), atol=1e-5)


def test_outside_of_the_image_is_its_minimum_or_the_given_value():
    volume = volume_of(dtype=np.float32)
    beside = Geometry((5, 6, 7), volume.geometry.spacing_zyx, (500.0, 500.0, 500.0), AXIAL)
    assert np.all(resample(volume, beside).voxels == volume.voxels.min())
    assert np.all(resample(volume, beside, outside=-5.0).voxels == -5)


def test_coarser_grid_averages_what_it_would_skip():
    geometry = Geometry((4, 4, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    stripes = Volume(np.broadcast_to((np.arange(40) % 4 == 1).astype(np.float32), (4, 4, 40)), geometry)
    coarse = Geometry((4, 4, 10), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), AXIAL)
    assert np.all(resample(stripes, coarse, smooth=False).voxels == 0)
    averaged = resample(stripes, coarse).voxels[0, 0, 2:-2]
    assert averaged.min() > 0.1


@pytest.mark.parametrize("axes", ["LPS", "RIA", "PSL"])
def test_linear_interpolation_is_itk_s_whatever_the_order_of_the_axes(direction, axes):
    volume = volume_of(direction, dtype=np.float32)
    turned = reorient(volume, axes).geometry
    size, spacing = (7, 9, 8), tuple(0.8 * step for step in turned.spacing_zyx)
    origin = tuple(turned.to_patient(np.array([-0.7, 0.4, 0.3])).tolist())
    grid = Geometry(size, spacing, origin, turned.direction)
    expected = sitk.Resample(
        to_image(volume), size[::-1], sitk.Transform(), sitk.sitkLinear, origin, spacing[::-1], turned.direction, -5.0
    )
    found = resample(volume, grid, outside=-5.0, smooth=False).voxels
    assert (found == -5).any()
    np.testing.assert_allclose(found, sitk.GetArrayFromImage(expected), atol=1e-3)


# Turned by next to nothing, the axes are no longer parallel and each voxel is interpolated on its own.
@pytest.mark.parametrize("turn_deg", [0.0, 0.01])
def test_smoothing_before_a_coarser_grid_is_a_gaussian_of_the_lost_resolution(turn_deg):
    voxels = np.random.default_rng(0).random((4, 40, 50)).astype(np.float32)
    volume = Volume(voxels, Geometry(voxels.shape, (1.5, 0.5, 0.5), (0.0, 0.0, 0.0), AXIAL))
    turned = tuple(Rotation.from_euler("z", turn_deg, degrees=True).as_matrix().ravel().tolist())
    coarse = Geometry((4, 20, 25), (1.5, 1.0, 1.0), (0.0, 0.0, 0.0), turned)
    sigma = np.sqrt(1.0**2 - 0.5**2) / np.sqrt(8 * np.log(2)) / 0.5
    smooth = ndimage.gaussian_filter(voxels, (0, sigma, sigma), mode="nearest", truncate=8)
    np.testing.assert_allclose(resample(volume, coarse).voxels, smooth[:, ::2, ::2], atol=5e-3 if turn_deg else 1e-5)


@pytest.mark.parametrize("direction", [AXIAL, OBLIQUE])
def test_part_of_an_image_is_resampled_as_it_is_within_the_whole(direction):
    voxels = np.random.default_rng(0).random((6, 90, 110)).astype(np.float32)
    volume = Volume(voxels, Geometry(voxels.shape, (1.5, 0.4, 0.4), (10.0, -4.0, 7.0), direction))
    whole = Geometry((6, 70, 86), (1.5, 0.513, 0.513), (10.0, -4.0, 7.0), direction)
    box = (slice(1, 4), slice(31, 40), slice(44, 60))
    part = resample(volume, whole.part(box))
    assert part.geometry.describes(whole.part(box))
    np.testing.assert_allclose(part.voxels, resample(volume, whole).voxels[box], atol=2e-6)


@pytest.mark.parametrize("direction", [AXIAL, OBLIQUE])
def test_box_around_a_part_is_the_part_and_its_margin_within_the_grid(direction):
    grid = Geometry((9, 20, 30), (1.5, 0.5, 0.7), (1.0, 2.0, 3.0), direction)
    np.testing.assert_allclose(grid.to_index(grid.to_patient([3.0, 4.0, 5.0])), [3.0, 4.0, 5.0], atol=1e-9)
    inside = replace(grid.part((slice(0, 3), slice(8, 12), slice(24, 30))), spacing_zyx=(1.49, 0.49, 0.69))
    assert grid.box_around(inside, (1, 2, 3)) == (slice(0, 4), slice(6, 14), slice(21, 30))
    assert grid.box_around(replace(inside, origin_xyz=(500.0, 0.0, 0.0)), (1, 2, 3)) is None


def test_grid_that_hardly_touches_the_image_is_filled():
    volume = Volume(np.ones((6, 40, 40), np.float32), Geometry((6, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL))
    beside = Geometry((6, 10, 10), (1.0, 2.0, 2.0), (-23.0, 0.0, 0.0), AXIAL)
    assert resample(volume, beside, outside=-5.0).voxels.tolist() == np.full((6, 10, 10), -5.0).tolist()
