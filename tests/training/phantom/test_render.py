"""Rendered patients: labels, displaced fluid, partial volume, geometry."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import label as components

from training.phantom import render as render_module
from training.phantom.render import label_voxels, render, render_signal
from training.phantom.shapes import rotation
from training.phantom.signals import SEQUENCES, tissue_signals
from training.phantom.tumour_signal import tumour_on


@pytest.fixture(scope="module")
def fine_grid(make_grid, grown_patient):
    sign = grown_patient.tumour_ear.sign
    return make_grid((34, 60, 60), (1.0, 0.8, 0.8), (sign * 24, 4, 0))


@pytest.fixture(scope="module")
def with_tumour(grown_patient, fine_grid):
    return render_signal(grown_patient, SEQUENCES["ciss"], fine_grid)


@pytest.fixture(scope="module")
def without_tumour(grown_patient, fine_grid):
    healthy = replace(grown_patient, tumour=None, tumour_side="none")
    return render_signal(healthy, SEQUENCES["ciss"], fine_grid)


def test_labelled_volume_is_the_tumours(grown_patient, with_tumour):
    label = label_voxels(with_tumour[1], 2021)
    assert (label == 1).sum() * 0.64 == pytest.approx(grown_patient.tumour.volume_mm3, rel=0.03)


def test_tumour_displaces_bright_fluid(with_tumour, without_tumour):
    signals = tissue_signals(SEQUENCES["ciss"])
    tumour = with_tumour[1]["extrameatal"] > 0.99
    before, after = without_tumour[0][tumour], with_tumour[0][tumour]
    assert (before > 0.7 * signals["csf"]).mean() > 0.2
    assert after.mean() < 0.45 * signals["csf"]


def test_canal_loses_its_fluid_to_the_tumour(with_tumour, without_tumour):
    canal = with_tumour[1]["intrameatal"] > 0.99
    assert canal.any()
    assert with_tumour[0][canal].mean() < 0.6 * without_tumour[0][canal].mean()


def test_cochlea_keeps_its_fluid_and_its_label(with_tumour, without_tumour):
    cochlea = without_tumour[1]["cochlea"] > 0.5
    assert np.array_equal(cochlea, with_tumour[1]["cochlea"] > 0.5)
    assert with_tumour[0][cochlea].mean() == pytest.approx(without_tumour[0][cochlea].mean(), rel=0.02)
    assert with_tumour[0][cochlea].mean() > 0.3 * tissue_signals(SEQUENCES["ciss"])["labyrinth"]


def test_brain_makes_way_for_the_tumour_and_is_elsewhere_as_it_was(with_tumour, without_tumour):
    tumour = with_tumour[1]["extrameatal"] + with_tumour[1]["intrameatal"]
    changed = np.abs(with_tumour[0] - without_tumour[0]) > 0.02
    assert (changed & (tumour < 0.01)).sum() > 100
    assert changed.mean() < 0.3


def test_edges_are_partial(with_tumour):
    share = with_tumour[1]["extrameatal"] + with_tumour[1]["intrameatal"]
    assert ((share > 0.1) & (share < 0.9)).sum() > 300
    assert share.max() <= 1 + 1e-5


def test_half_a_voxel_decides_the_label():
    zeros = np.zeros((1, 1, 4), dtype=np.float32)
    fractions = {
        "extrameatal": np.array([[[0.49, 0.51, 0.30, 0.1]]], dtype=np.float32),
        "intrameatal": zeros + np.array([0, 0, 0.31, 0.1], dtype=np.float32),
        "cochlea": np.array([[[0.0, 0.0, 0.0, 0.6]]], dtype=np.float32),
    }
    assert label_voxels(fractions, 2021).tolist() == [[[0, 1, 1, 2]]]
    assert label_voxels(fractions, 2023).tolist() == [[[0, 1, 2, 3]]]


def test_extrameatal_part_of_2023_lies_medial_to_the_intrameatal(with_tumour, fine_grid):
    year_2021, year_2023 = (label_voxels(with_tumour[1], year) for year in (2021, 2023))
    assert np.array_equal(year_2021 == 1, (year_2023 == 1) | (year_2023 == 2))
    assert np.array_equal(year_2021 == 2, year_2023 == 3)
    places = [fine_grid.to_patient(np.argwhere(year_2023 == value)[:, ::-1]).mean(axis=0) for value in (1, 2)]
    assert abs(places[0][0]) < abs(places[1][0])


def test_tumour_and_cochleae_are_whole(grown_patient, make_grid):
    _, fractions = render_signal(grown_patient, SEQUENCES["mprage"], make_grid((24, 60, 100), (1.5, 0.9, 0.9)))
    label = label_voxels(fractions, 2021)
    assert components(label == 1, np.ones((3, 3, 3)))[1] == 1
    assert components(label == 2, np.ones((3, 3, 3)))[1] == 2


def test_oblique_grid_sees_the_same_place(grown_patient, make_grid):
    centre = grown_patient.tumour_ear.porus * (grown_patient.tumour_ear.sign, 1, 1)
    middles = []
    for angles in ((0.0, 0.0, 0.0), (7.0, -4.0, 5.0)):
        geometry = make_grid((26, 40, 40), (1.2, 1.0, 1.0), centre, rotation(np.array(angles)))
        image, label = render(grown_patient, SEQUENCES["ciss"], geometry, np.random.default_rng(0))
        assert image.geometry == label.geometry == geometry
        middles.append(geometry.to_patient(np.argwhere(label.voxels == 1)[:, ::-1]).mean(axis=0))
    assert np.linalg.norm(middles[0] - middles[1]) < 0.3


def test_head_turned_in_the_scanner_carries_its_tumour_along(grown_patient, make_grid):
    turned = replace(grown_patient, turn_deg=np.array([6.0, 2.0, -5.0]), shift_mm=np.array([3.0, -2.0, 4.0]))
    ear = grown_patient.tumour_ear
    centre = ear.frame().point(grown_patient.tumour.ball_centre) * (ear.sign, 1, 1)
    expected = turned.turn @ centre + turned.shift_mm
    geometry = make_grid((24, 36, 36), (1.2, 1.0, 1.0), expected)
    _, fractions = render_signal(turned, SEQUENCES["ciss"], geometry)
    ball = fractions["extrameatal"] > 0.5
    middle = geometry.to_patient(np.argwhere(ball)[:, ::-1]).mean(axis=0)
    assert np.linalg.norm(middle - expected) < 2.5


def test_slabs_do_not_show(monkeypatch, grown_patient, make_grid):
    geometry = make_grid((10, 40, 40), (2.0, 1.5, 1.5), (20, 0, 0))
    whole = render_signal(grown_patient, SEQUENCES["ciss"], geometry)
    monkeypatch.setattr(render_module, "SLAB_POINTS", 4000)
    parts = render_signal(grown_patient, SEQUENCES["ciss"], geometry)
    assert np.allclose(whole[0], parts[0], atol=2e-4)
    assert np.allclose(whole[1]["cochlea"], parts[1]["cochlea"], atol=1e-3)


def test_grid_that_misses_the_ears_has_an_empty_label(grown_patient, make_grid):
    image, label = render(
        grown_patient, SEQUENCES["tse"], make_grid((8, 20, 20), (1.5, 1.5, 1.5), (0, 30, 60)), np.random.default_rng(0)
    )
    assert label.voxels.max() == 0
    assert image.voxels.std() > 0


def test_tumour_is_the_brightest_tissue_of_the_angle_on_enhanced_t1(grown_patient, fine_grid):
    image, label = render(grown_patient, SEQUENCES["mprage"], fine_grid, np.random.default_rng(1))
    tumour = image.voxels[label.voxels == 1].mean()
    brain_like = np.median(image.voxels[image.voxels > 0.3 * tumour])
    assert tumour > 1.3 * brain_like


def test_tumour_can_be_painted_at_any_points(make_tumour_patient):
    ear = make_tumour_patient(800.0).tumour_ear
    tumour = make_tumour_patient(800.0).tumour
    centre = ear.frame().point(tumour.ball_centre)
    points = centre[:, None] + np.array([[0.0, 0, 0], [40.0, 0, 0]]).T
    distance, values, _ = tumour_on(tumour, ear.frame(), SEQUENCES["tse"], *points.astype(np.float32))
    assert distance[0] < 0 < distance[1]
    signals = tissue_signals(SEQUENCES["tse"])
    assert 0.8 * signals["schwannoma"] < values[0] < 1.2 * signals["schwannoma_loose"]
    assert values[1] == 0
