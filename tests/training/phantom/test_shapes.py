"""Signed distances, lattices and random fields."""

import numpy as np
import pytest

from training.phantom.lattice import Lattice
from training.phantom.shapes import Waves, capsule, coverage, ellipsoid, rotation, smooth_intersection, smooth_union


@pytest.fixture
def oblique():
    turned = rotation(np.array([12.0, -7.0, 20.0]))
    return Lattice((5, 6, 7), np.array([3.0, -2.0, 1.0]), np.diag([2.0, 0.9, 0.7]) @ turned)


def test_points_step_along_the_lattice(oblique):
    x, y, z = oblique.points()
    expected = oblique.first + 4 * oblique.steps[0] + 2 * oblique.steps[1] + 6 * oblique.steps[2]
    assert np.allclose([x[4, 2, 6], y[4, 2, 6], z[4, 2, 6]], expected, atol=1e-5)


def test_sub_voxels_average_to_their_voxel(oblique):
    fine = oblique.refined((2, 3, 4)).points()
    for coarse, parts in zip(oblique.points(), fine, strict=True):
        means = parts.reshape(5, 2, 6, 3, 7, 4).mean(axis=(1, 3, 5))
        assert np.allclose(means, coarse, atol=1e-5)


def test_window_near_a_point_holds_every_point_of_the_ball(oblique):
    centre = oblique.first + np.array([2.2, 3.1, 3.7]) @ oblique.steps
    window = oblique.near(centre, 1.5)
    distance = np.linalg.norm(np.stack(oblique.points(), -1) - centre, axis=-1)
    inside = np.zeros(distance.shape, dtype=bool)
    inside[window] = True
    assert (distance < 1.5).any()
    assert inside[distance < 1.5].all()


def test_window_far_from_the_lattice_is_none(oblique):
    assert oblique.near(oblique.first + 500, 3.0) is None


def test_waves_are_the_same_on_a_lattice_and_at_its_points(oblique):
    waves = Waves.sample(np.random.default_rng(0), (4.0, 9.0))
    assert np.allclose(waves.on(oblique), waves.at(*oblique.points()), atol=1e-4)


def test_waves_have_mean_0_and_variance_1():
    lattice = Lattice((40, 40, 40), np.zeros(3), 3.0 * np.eye(3))
    field = Waves.sample(np.random.default_rng(1), (4.0, 9.0)).on(lattice)
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (lambda x: ellipsoid(x, 0 * x, 0 * x, (1.0, 0, 0), (4.0, 2.0, 2.0)), 2.0),
        (lambda x: capsule(0 * x, x, 0 * x, (0, 0, -5), (0, 0, 5), 3.0), 4.0),
        (lambda x: capsule(0 * x, 0 * x, x, (0, 0, -5), (0, 0, 5), 3.0), -1.0),
    ],
)
def test_distance_at_seven_mm(shape, expected):
    assert shape(np.array([7.0], dtype=np.float32))[0] == pytest.approx(expected, abs=1e-4)


def test_partial_coverage_gives_a_balls_volume_on_coarse_voxels():
    x, y, z = Lattice((14, 14, 14), np.full(3, -6.3), np.eye(3)).points()
    share = coverage(ellipsoid(x, y, z, (0.2, 0.1, 0.3), (5.0, 5.0, 5.0)), 1.0)
    # A linear edge of width w adds r w^2 pi / 3 to a ball: 1 % here.
    assert share.sum() == pytest.approx(4 / 3 * np.pi * (125 + 5 / 4), rel=0.005)
    assert ((share > 0) & (share < 1)).any()


def test_smooth_union_fills_the_crease_and_leaves_the_rest():
    a, b = np.array([0.0, 5.0]), np.array([0.0, -1.0])
    assert smooth_union(a, b, 2.0) == pytest.approx([-0.5, -1.0])
    assert smooth_intersection(a, b, 2.0) == pytest.approx([0.5, 5.0])


def test_rotation_about_z_turns_left_to_back():
    assert np.allclose(rotation(np.array([0.0, 0.0, 90.0])) @ (1, 0, 0), (0, 1, 0))
