"""The inner ear: sizes, turns of the cochlea, mirror symmetry."""

import numpy as np
import pytest

from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.ear import canal_distance, cochlea_distance, labyrinth_distance, sample_ear
from training.phantom.lattice import Lattice
from training.phantom.skull import petrous_distance


def around(centre, half_mm=6.0, step_mm=0.2):
    count = int(2 * half_mm / step_mm)
    return Lattice((count,) * 3, np.asarray(centre) - half_mm + step_mm / 2, step_mm * np.eye(3)[::-1]).points()


@pytest.fixture(scope="module")
def ears():
    return [sample_ear(np.random.default_rng(seed), 1, 27.8) for seed in range(12)]


def test_labelled_cochlea_has_a_real_ones_volume_and_size(ears):
    for ear in ears:
        lumen, whole = cochlea_distance(ear, *around(ear.cochlea_centre))
        volume = (whole < 0).sum() * 0.2**3
        assert 40 < volume < 110
        assert (lumen < 0).sum() * 0.2**3 < volume
        extents = [0.2 * np.ptp(np.nonzero(whole < 0)[axis]) for axis in range(3)]
        assert min(extents) > 4.0
        assert max(extents) < 9.0


def test_cochlea_has_two_and_a_half_turns(ears):
    # A half-plane through the axis meets the spiral once a turn: three times on one side, twice on the other.
    ear = ears[0]
    met = []
    for angle in (0.5 * np.pi, 1.5 * np.pi):
        radial, height = np.meshgrid(np.arange(0.02, 5, 0.02), np.arange(-3, 4, 0.02), indexing="ij")
        local = np.stack([radial * np.cos(angle), radial * np.sin(angle), height], axis=-1)
        places = ear.cochlea_centre + ear.cochlea_size * local @ ear.cochlea_axes
        lumen, _ = cochlea_distance(ear, *np.moveaxis(places.astype(np.float32), -1, 0))
        # Only the middles of the lumen: tubes of neighbouring turns touch.
        lowest = lumen[1:-1, 1:-1]
        neighbours = [lumen[1 + i : lumen.shape[0] - 1 + i, 1 + j : lumen.shape[1] - 1 + j] for i, j in STEPS]
        minima = (lowest < -0.3) & np.all([lowest < n for n in neighbours], axis=0)
        met.append(int(minima.sum()))
    assert met == [3, 2]


STEPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


def test_canal_is_ten_to_twelve_mm_long_and_four_to_five_wide(ears):
    for ear in ears:
        assert 10 <= ear.canal_length <= 12
        assert 4 <= 2 * ear.canal_radius <= 5
        middle = 0.5 * (ear.porus + ear.fundus)
        at_middle = canal_distance(ear, *(np.array([v], dtype=np.float32) for v in middle), ear.canal_radius)
        assert at_middle[0] == pytest.approx(-0.9 * ear.canal_radius, abs=0.15 * ear.canal_radius)


def test_semicircular_canals_have_a_lumen_of_a_mm_or_a_little_more(ears):
    for ear in ears:
        for ring in ear.canal_rings:
            assert 1.0 <= 2 * ring.lumen_mm <= 1.5
            assert 2.0 < ring.radius_mm < 4.0
            assert np.linalg.norm(ring.normal) == pytest.approx(1.0)


def test_cochlea_vestibule_and_canal_lie_in_bone_and_apart(ears):
    for ear in ears:
        u, y, z = around(ear.fundus, half_mm=10.0, step_mm=0.4)
        _, cochlea = cochlea_distance(ear, u, y, z)
        canal = canal_distance(ear, u, y, z, ear.canal_radius)
        assert not ((cochlea < 0) & (canal < 0)).any()
        fluid = (cochlea < 0) | (labyrinth_distance(ear, u, y, z) < 0)
        assert petrous_distance(ear, u, y, z)[fluid].max() < 0


def test_cochleae_lie_as_far_apart_as_measured():
    # 68.7 mm on one real label; heads differ by some 3 %.
    spans = []
    for seed in range(30):
        left, right = make_patient(PhantomConfig(prevalence=0), np.random.default_rng(seed)).ears
        spans.append(left.cochlea_centre[0] + right.cochlea_centre[0])
        assert (left.sign, right.sign) == (1, -1)
    assert np.mean(spans) == pytest.approx(68.7, abs=2.0)
    assert min(spans) > 58
    assert max(spans) < 80


def test_tumour_of_a_real_ones_volume_lies_as_far_from_the_cochlea():
    # One real label: 2390 mm3, its centre 18.8 mm from the cochlea of its side.
    distances = []
    for seed in range(12):
        config = PhantomConfig(prevalence=1, volume_mm3=(2390.0, 2391.0))
        patient = make_patient(config, np.random.default_rng(seed))
        frame = patient.tumour_ear.frame()
        a, b, c = around((-8, 0, 0), half_mm=22.0, step_mm=1.0)
        inside = patient.tumour.distance(a, b, c, frame.face_normal) < 0
        centre = frame.point(np.array([v[inside].mean() for v in (a, b, c)]))
        distances.append(np.linalg.norm(centre - patient.tumour_ear.cochlea_centre))
    assert min(distances) < 18.8 < max(distances)
