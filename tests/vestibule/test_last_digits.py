"""What two copies of an image differ in by a writer's rounding decides nothing about its mask."""

from dataclasses import replace

import numpy as np
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape

from contract.cases import render_head
from vestibule.geometry import Geometry, settled
from vestibule.head import head_outline
from vestibule.pipeline import load_model
from vestibule.region import CHORD_MM, find_ears
from vestibule.volume import Volume

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LAST_DIGIT = (-1e-7, 0.0, 1e-7)


def grid(spacing_zyx, size_zyx=(16, 90, 80), direction=IDENTITY):
    """A grid of a small head."""
    return Geometry(size_zyx, tuple(spacing_zyx), (-90.0, -80.0, 4.0), direction)


def copies(volume):
    """The volume with the rounding of three writers in its spacing."""
    for error in LAST_DIGIT:
        spacing_zyx = tuple(step * (1 + error) for step in volume.geometry.spacing_zyx)
        yield replace(volume, geometry=replace(volume.geometry, spacing_zyx=spacing_zyx))


@pytest.mark.parametrize(("step", "voxels"), [(1.2, 2), (0.4, 7), (2.0, 2), (6 / 7, 4), (0.24, 13), (6 / 11, 6)])
def test_a_tie_of_voxels_in_three_millimetres_is_broken_one_way(step, voxels):
    volume = render_head(grid((1.5, step, step)), np.random.default_rng(0))
    for copy in copies(volume):
        _, steps = head_outline(copy, "blocks")
        assert steps[1:] == (voxels, voxels)


def test_back_of_the_head_as_wide_as_the_least_chord_is_found_in_every_copy():
    step = 0.6
    size_zyx = (10, 350, 300)
    voxels = np.zeros(size_zyx, dtype=np.float32)
    chord = round(CHORD_MM / step)
    voxels[:, 25:250, 50:250] = 300
    # What ends in a chord of exactly the least width, 15 mm behind the head.
    middle = 125 + chord // 2
    voxels[:, 250:275, middle - chord : middle] = 300
    found = {find_ears(copy) for copy in copies(Volume(voxels, grid((3.0, step, step), size_zyx)))}
    rows = [row for row, _ in found]
    assert max(rows) - min(rows) < 0.01


@pytest.mark.parametrize("planned", [1.0, 0.7, 0.5])
def test_slices_of_the_segmenter_are_as_many_for_every_copy(planned):
    shapes = set()
    for error in LAST_DIGIT:
        spacing = settled((1.5 * (1 + error), 1.2, 1.2))
        shape = compute_new_shape((31, 96, 96), spacing, settled((planned, 1.2, 1.2)))
        shapes.add(tuple(shape.tolist()))
    assert len(shapes) == 1


@pytest.mark.parametrize("step", [1.2, 0.4, 2.0])
def test_every_copy_gets_the_same_mask_on_its_own_grid(tiny_bundle, step):
    model = load_model(tiny_bundle, device="cpu")
    size_yx = round(180 / step)
    volume = render_head(grid((1.5, step, step), (8, size_yx, size_yx)), np.random.default_rng(1))
    wanted = model.run(volume)
    assert wanted.voxels.any()
    for copy in copies(volume):
        mask = model.run(copy)
        assert mask.geometry == copy.geometry
        np.testing.assert_array_equal(mask.voxels, wanted.voxels)


@pytest.mark.parametrize("step", [1.2, 0.4, 0.5078, 0.46875, 0.4296875, 3.2999976])
def test_steady_grid_is_that_of_the_file_but_where_a_digit_is_rounded(step):
    stored = float(np.float32(step))
    geometry = grid((1.5, stored, stored))
    steady = geometry.steady()
    expected = 3.3 if step == 3.2999976 else step
    assert steady.spacing_zyx == (1.5, float(np.float32(expected)), float(np.float32(expected)))
    assert steady.direction == geometry.direction


def test_steady_grid_has_right_angles_where_the_files_are_rounded():
    rounded = (1.0, 5e-4, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    far_xyz = np.array([400.0, 400.0, 40.0])
    geometry = grid((1.5, 0.5, 0.5), direction=rounded)
    steady = geometry.steady()
    np.testing.assert_allclose(steady.to_index(steady.to_patient(far_xyz)), far_xyz, atol=1e-9)
    # As the file's own grid does not.
    assert np.abs(geometry.to_index(geometry.to_patient(far_xyz)) - far_xyz).max() > 0.1


def test_axes_along_the_patients_are_exact_in_the_steady_grid():
    rounded = (1.0, 3e-8, 0.0, -3e-8, 1.0, 0.0, 0.0, 0.0, 1.0 - 6e-8)
    assert grid((1.5, 0.5, 0.5), direction=rounded).steady().direction == IDENTITY
