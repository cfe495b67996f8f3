"""The schwannoma: its volume, where it lies, and what it is made of."""

import numpy as np
import pytest
from scipy.stats import kstest

from training.phantom.lattice import Lattice
from training.phantom.tumour import CLASSES, VOLUME_RANGE_MM3, sample_tumour, sample_volume
from training.phantom.tumour_shape import CanalFrame, measure_extent, measure_volume

FRAME = CanalFrame(np.zeros(3), np.eye(3))


def points_around(half_mm, step_mm):
    count = int(2 * half_mm / step_mm)
    first = np.full(3, -half_mm + step_mm / 2)
    return Lattice((count,) * 3, first, step_mm * np.eye(3)[::-1]).points()


@pytest.mark.parametrize("volume", [44.0, 120.0, 300.0, 900.0, 3000.0, 9800.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_wanted_volume_is_met(volume, seed):
    tumour = sample_tumour(np.random.default_rng(seed), volume)
    assert tumour.volume_mm3 == pytest.approx(volume, rel=0.02)
    # Counted apart from the solver, on voxels that are inside or not.
    half, step = tumour.reach, volume ** (1 / 3) / 26
    inside = tumour.distance(*points_around(half, step), FRAME.face_normal) < 0
    assert inside.sum() * step**3 == pytest.approx(volume, rel=0.03)


def test_volumes_are_log_uniform():
    rng = np.random.default_rng(5)
    volumes = np.log([sample_volume(rng) for _ in range(500)])
    low, high = np.log(VOLUME_RANGE_MM3)
    assert low <= volumes.min() < low + 0.1
    assert high - 0.1 < volumes.max() <= high
    assert kstest((volumes - low) / (high - low), "uniform").pvalue > 0.01


def test_small_tumour_lies_in_the_canal():
    for seed in range(5):
        tumour = sample_tumour(np.random.default_rng(seed), 60.0, canal_length_mm=11.0, canal_radius_mm=2.3)
        in_canal, in_angle = measure_extent(tumour, FRAME.face_normal)
        assert tumour.ball_radius == 0
        assert 2 < in_canal < 11.5
        assert in_angle == 0


def test_large_tumour_is_an_ice_cream_cone():
    tumour = sample_tumour(np.random.default_rng(2), 5000.0)
    in_canal, in_angle = measure_extent(tumour, FRAME.face_normal)
    assert 2 < in_canal < 13
    assert 18 < in_angle < 32
    a, b, c = points_around(tumour.reach, 0.6)
    inside = tumour.distance(a, b, c, FRAME.face_normal) < 0
    in_bone = a * FRAME.face_normal[0] + b * FRAME.face_normal[1] > 0
    assert inside[in_bone].sum() > 5 * inside[~in_bone].sum()


def test_tumour_enters_bone_through_the_canal_only():
    tumour = sample_tumour(np.random.default_rng(4), 6000.0)
    a, b, c = points_around(tumour.reach, 0.5)
    inside = tumour.distance(a, b, c, FRAME.face_normal) < 0
    depth = -(a * FRAME.face_normal[0] + b * FRAME.face_normal[1])
    outside_canal = np.hypot(b, c) > tumour.canal_radius + 2.5
    assert not (inside & (depth > 0.5) & outside_canal).any()


def test_tumour_does_not_pass_the_fundus():
    for seed in range(10):
        tumour = sample_tumour(np.random.default_rng(seed), 2000.0, canal_length_mm=10.5)
        assert tumour.canal_depth + 0.85 * tumour.canal_radius <= 10.5 + 1.0


def test_large_tumours_are_less_often_solid():
    def share_of_solid(volume):
        sampled = [sample_tumour(np.random.default_rng(seed), volume).tumour_class for seed in range(30)]
        assert set(sampled) <= set(CLASSES)
        return sampled.count("solid") / 30

    assert share_of_solid(250.0) > 0.75
    assert 0.05 < share_of_solid(3000.0) < 0.55


def test_cysts_lie_inside():
    tumours = (sample_tumour(np.random.default_rng(seed), 4000.0) for seed in range(100))
    tumour = next(t for t in tumours if t.cysts)
    a, b, c = points_around(tumour.reach, 0.6)
    cyst = tumour.cyst_distance(a, b, c) < 0
    assert cyst.any()
    share_inside = (tumour.distance(a, b, c, FRAME.face_normal) < 0)[cyst].mean()
    assert share_inside > 0.85


def test_volume_does_not_hang_on_the_grid():
    tumour = sample_tumour(np.random.default_rng(9), 700.0)
    assert measure_volume(tumour, FRAME.face_normal, steps=40) == pytest.approx(tumour.volume_mm3, rel=0.01)


def test_frame_turns_points_into_its_axes():
    frame = CanalFrame(np.array([10.0, 0, 0]), np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 1.0]]))
    local = frame.local(*(np.array([v], dtype=np.float32) for v in (12.0, 5.0, 1.0)))
    assert np.allclose(np.concatenate(local), (5.0, 2.0, 1.0))
    assert np.allclose(frame.point(np.array([5.0, 2.0, 1.0])), (12.0, 5.0, 1.0))
