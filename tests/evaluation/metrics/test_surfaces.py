"""Every way to a distance against brute force: looking around, the tree, the transform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist

from evaluation.metrics import surface_distances, surfaces
from evaluation.metrics.envelope import lower_envelope
from evaluation.metrics.surfaces import bounding_box, surface_of
from evaluation.metrics.transform import squared_distances

SHAPE = (12, 40, 36)
SPACING = (1.5, 0.4, 0.5)


def by_full_volume(prediction: np.ndarray, reference: np.ndarray, spacing: tuple) -> list[np.ndarray]:
    """The same distances from SciPy's erosion and distance transform of the whole volume."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    return [ndimage.distance_transform_edt(~there, sampling=spacing)[here] for here, there in (edges, edges[::-1])]


def ball(centre: tuple, radius: float) -> np.ndarray:
    grid = np.indices(SHAPE) * np.reshape(SPACING, (3, 1, 1, 1))
    away = grid - np.reshape(np.multiply(centre, SPACING), (3, 1, 1, 1))
    return (away**2).sum(axis=0) <= radius**2


def noise(density: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE) < density


MASKS = {
    "far apart": (ball((2, 5, 5), 2.0), ball((10, 35, 30), 2.5)),
    "one in the other": (ball((6, 20, 18), 7.0), ball((6, 20, 18), 2.0)),
    "all of the volume": (np.ones(SHAPE, dtype=bool), ball((4, 20, 12), 2.0)),
    "all but a ball": (~ball((4, 20, 12), 3.0), ball((8, 30, 12), 3.0)),
    "noise against a ball": (noise(0.5, 1), ball((6, 20, 18), 2.0)),
    "noise against noise": (noise(0.5, 1), noise(0.5, 2)),
    "specks against specks": (noise(0.002, 1), noise(0.002, 2)),
    "a slice against a row": (np.indices(SHAPE)[0] == 3, (np.indices(SHAPE)[:2] == [[[[9]]], [[[35]]]]).all(axis=0)),
}
SEARCHES = ((9, 1), (0, 1), (0, 17))
"""Rows that the last of the asked points look at (0: in vain), and how many such there are."""


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("spacing", [SPACING, (1.0, 1.0, 1.0), (0.3, 2.0, 0.9)])
@pytest.mark.parametrize(("rows", "chunk"), [(768, 2**15), (1, 2**15), (768, 400)])
def test_distances_equal_those_of_the_full_volume(
    name: str, spacing: tuple, rows: int, chunk: int, monkeypatch
) -> None:
    monkeypatch.setattr(surfaces, "_ROWS", rows)
    monkeypatch.setattr(surfaces, "_CHUNK", chunk)
    prediction, reference = MASKS[name]
    for ours, theirs in zip(
        surface_distances(prediction, reference, spacing), by_full_volume(prediction, reference, spacing), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_as_many_rows_are_searched_as_pay() -> None:
    all_soon, one_in_four_never, most_never = (np.repeat([2, 9, last], [2, 1, count]) for last, count in SEARCHES)
    assert surfaces._worthwhile_rows(all_soon, 10**5, 10**6, 700) == 700
    assert surfaces._worthwhile_rows(one_in_four_never, 10**5, 10**7, 700) == 9
    assert surfaces._worthwhile_rows(most_never, 10**7, 10**5, 700) == 0


@pytest.mark.parametrize("pairs_per_voxel", [0, 10**9], ids=["transform", "tree"])
def test_tree_and_transform_agree(pairs_per_voxel: int, monkeypatch) -> None:
    monkeypatch.setattr(surfaces, "_ROWS", 1)
    monkeypatch.setattr(surfaces, "_PAIRS_PER_VOXEL", pairs_per_voxel)
    for prediction, reference in MASKS.values():
        for ours, theirs in zip(
            surface_distances(prediction, reference, SPACING),
            by_full_volume(prediction, reference, SPACING),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@st.composite
def voxel_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two sets of voxels, some of them flat, anywhere; and a spacing in mm."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sets = []
    for _ in range(2):
        sides, corner = (draw(st.tuples(*[st.integers(low, 12)] * 3)) for low in (1, -12))
        sets.append(generator.integers(0, sides, (draw(st.integers(1, 60)), 3)) + corner)
    return *sets, np.array(draw(st.tuples(*[st.sampled_from([0.3, 1.0, 2.7])] * 3)))


@settings(max_examples=100, deadline=None)
@given(voxel_sets())
def test_transform_equals_brute_force(sets: tuple) -> None:
    start, goal, spacing = sets
    expected = cdist(start * spacing, goal * spacing, "sqeuclidean").min(axis=1)
    np.testing.assert_allclose(squared_distances(start, goal, spacing), expected, rtol=0, atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 15), st.integers(-20, 20))
def test_envelope_is_the_lowest_parabola_everywhere(seed: int, count: int, wanted: int, corner: int) -> None:
    generator = np.random.default_rng(seed)
    heights = generator.choice([0.0, 1.0, 7.3, 1e16], (count, 5)) * generator.random((count, 5))
    places, positions = corner + np.arange(count), np.arange(wanted)
    expected = (heights[:, None] + (0.7 * (positions[:, None] - places[:, None, None])) ** 2).min(axis=0)
    np.testing.assert_allclose(lower_envelope(heights, places, positions, 0.7), expected, rtol=1e-12, atol=1e-9)


def test_surface_is_the_mask_without_its_erosion() -> None:
    for prediction, _ in MASKS.values():
        assert np.array_equal(surface_of(prediction), prediction & ~ndimage.binary_erosion(prediction))


def test_bounding_box_is_tight_and_none_for_nothing() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.uint8)
    assert bounding_box(mask) is None
    mask[1, 4, 2] = mask[3, 0, 2] = 200
    assert bounding_box(mask) == (slice(1, 4), slice(0, 5), slice(2, 3))
