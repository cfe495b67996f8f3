"""The scanner: grids, obliqueness, bias, blur and noise."""

import numpy as np
import pytest

from training.phantom.config import PhantomConfig
from training.phantom.scanner import (
    PROTOCOLS,
    acquire,
    add_rician_noise,
    bias_field,
    blur,
    describe,
    lattice_in_head,
    sample_geometry,
    sample_protocol,
)
from training.phantom.shapes import rotation
from training.phantom.signals import SEQUENCES


def geometry_for(seed=0, site="ldn", contrast="T2", **options):
    config = PhantomConfig(edition=2023, **options)
    rng = np.random.default_rng(seed)
    return sample_geometry(sample_protocol(site, contrast, rng), config, rng)


@pytest.mark.parametrize("edition_site", ["ldn", "etz", "ukm"])
@pytest.mark.parametrize("contrast", ["ceT1", "T2"])
def test_every_site_has_its_own_grid(edition_site, contrast):
    protocols = PROTOCOLS[edition_site, contrast]
    assert all(SEQUENCES[p.sequence].contrast == contrast for p in protocols)
    geometry = geometry_for(1, edition_site, contrast)
    assert geometry.size_zyx[1] == geometry.size_zyx[2]
    assert min(geometry.size_zyx) >= 11
    assert any(geometry.spacing_zyx[1:] == p.spacing_zyx[1:] for p in protocols)


def test_london_and_tilburg_have_the_challenges_grids():
    london, tilburg = geometry_for(2), geometry_for(2, "etz")
    assert london.size_zyx[1] in (384, 448)
    assert 1.0 <= london.spacing_zyx[0] <= 1.5
    assert tilburg.size_zyx[1:] == (512, 512)
    assert tilburg.spacing_zyx == (1.0, 0.4, 0.4)


def test_shape_and_spacing_replace_the_sites():
    geometry = geometry_for(shape_zyx=(24, 100, 90), spacing_zyx=(2.0, 1.1, 1.2))
    assert geometry.size_zyx == (24, 100, 90)
    assert geometry.spacing_zyx == (2.0, 1.1, 1.2)


def test_a_share_of_the_images_is_oblique_by_a_few_degrees():
    turns = []
    for seed in range(200):
        matrix = geometry_for(seed).matrix
        assert np.allclose(matrix @ matrix.T, np.eye(3))
        turns.append(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    oblique = np.array(turns) > 0.01
    assert 0.2 < oblique.mean() < 0.4
    assert max(turns) < 10


def test_voxels_go_to_the_head_and_back():
    geometry = geometry_for(5, oblique=1.0, shape_zyx=(9, 10, 11), spacing_zyx=(2.0, 0.7, 0.8))
    turn, shift = rotation(np.array([5.0, -3.0, 4.0])), np.array([2.0, -4.0, 1.0])
    in_head = np.stack(lattice_in_head(geometry, turn, shift).points(), axis=-1)
    back = in_head @ turn.T + shift
    index_xyz = np.stack(np.meshgrid(*map(np.arange, geometry.size_zyx), indexing="ij")[::-1], axis=-1)
    assert np.allclose(back, geometry.to_patient(index_xyz), atol=1e-4)


def test_noise_is_rayleigh_where_there_is_no_signal():
    # Rayleigh: mean sd sqrt(pi/2), standard deviation sd sqrt(2 - pi/2).
    image = add_rician_noise(np.zeros((20, 60, 60), dtype=np.float32), 3.0, np.random.default_rng(0))
    assert image.mean() == pytest.approx(3.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert image.std() == pytest.approx(3.0 * np.sqrt(2 - np.pi / 2), rel=0.01)


def test_noise_is_gaussian_where_the_signal_is_strong():
    # Mean sqrt(A^2 + sd^2) to second order, standard deviation sd.
    image = add_rician_noise(np.full((20, 60, 60), 100.0, dtype=np.float32), 3.0, np.random.default_rng(1))
    assert image.mean() == pytest.approx(100.0 + 9.0 / 200.0, abs=0.05)
    assert image.std() == pytest.approx(3.0, rel=0.02)


def test_inverted_signal_shows_its_magnitude():
    image = add_rician_noise(np.full((4, 30, 30), -50.0, dtype=np.float32), 0.5, np.random.default_rng(2))
    assert image.mean() == pytest.approx(50.0, abs=0.1)


def test_blur_keeps_the_sum_and_has_the_wanted_width():
    point = np.zeros((21, 21, 21), dtype=np.float32)
    point[10, 10, 10] = 1.0
    blur(point, 2.0)
    assert point.sum() == pytest.approx(1.0, abs=1e-3)
    profile = point.sum(axis=(0, 1))
    variance = (profile * (np.arange(21) - 10) ** 2).sum() / profile.sum()
    assert np.sqrt(variance) * 2 * np.sqrt(2 * np.log(2)) == pytest.approx(2.0, rel=0.05)


def test_bias_is_smooth_positive_and_one_in_the_middle():
    geometry = geometry_for(shape_zyx=(21, 101, 101), spacing_zyx=(2.0, 1.5, 1.5))
    for seed in range(5):
        field = bias_field(geometry.size_zyx, geometry, np.random.default_rng(seed))
        assert field[10, 50, 50] == pytest.approx(1.0, abs=1e-5)
        assert 0.3 < field.min() < 0.99 or 1.01 < field.max() < 3
        assert max(np.abs(np.diff(np.log(field), axis=axis)).max() for axis in range(3)) < 0.03


def test_acquired_image_is_positive_and_keeps_the_contrast():
    geometry = geometry_for(shape_zyx=(12, 40, 40), spacing_zyx=(1.5, 1.0, 1.0))
    signal = np.full(geometry.size_zyx, 0.05, dtype=np.float32)
    signal[:, 20:] = 0.30
    image = acquire(signal, geometry, SEQUENCES["ciss"], np.random.default_rng(3))
    assert image.min() > 0
    assert image[:, 30:].mean() > 3 * image[:, :10].mean()


def test_sequences_are_described_in_words():
    assert describe(SEQUENCES["tse"]) == "TSE TR 2700 TE 160 ms"
