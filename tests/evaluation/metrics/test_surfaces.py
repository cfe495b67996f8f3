"""Both ways to a distance, tree and transform, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist

from evaluation.metrics import surface_distances
from evaluation.metrics.surface_distance import (
    distances_by_transform,
    distances_by_tree,
    nearest_distances,
    surface_of,
)

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


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("spacing", [SPACING, (1.0, 1.0, 1.0), (0.3, 2.0, 0.9)])
def test_distances_equal_those_of_the_full_volume(name: str, spacing: tuple) -> None:
    prediction, reference = MASKS[name]
    for ours, theirs in zip(
        surface_distances(prediction, reference, spacing), by_full_volume(prediction, reference, spacing), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@st.composite
def voxel_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two sets of voxels, some of them flat, anywhere in an image; and a spacing in mm."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sets = []
    for _ in range(2):
        sides, corner = (draw(st.tuples(*[st.integers(low, 12)] * 3)) for low in (1, 0))
        sets.append(generator.integers(0, sides, (draw(st.integers(1, 60)), 3)) + corner)
    return *sets, np.array(draw(st.tuples(*[st.sampled_from([0.3, 1.0, 2.7])] * 3)))


@settings(max_examples=100, deadline=None)
@given(voxel_sets())
def test_tree_and_transform_equal_brute_force(sets: tuple) -> None:
    start, goal, spacing = sets
    expected = cdist(start * spacing, goal * spacing).min(axis=1)
    for distances in (distances_by_tree, distances_by_transform, nearest_distances):
        np.testing.assert_allclose(distances(start, goal, spacing), expected, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(voxel_sets(), st.lists(st.integers(0, 2), min_size=1, max_size=3))
def test_axes_of_zero_spacing_count_for_nothing(sets: tuple, axes: list[int]) -> None:
    start, goal, spacing = sets
    spacing[axes] = 0.0
    expected = cdist(start * spacing, goal * spacing).min(axis=1)
    np.testing.assert_allclose(nearest_distances(start, goal, spacing), expected, rtol=0, atol=1e-9)
    # Far apart in space, so that the tree answers.
    far = goal + np.array([0, 0, 4000])
    expected = cdist(start * spacing, far * spacing).min(axis=1)
    np.testing.assert_allclose(nearest_distances(start, far, spacing), expected, rtol=0, atol=1e-9)


def test_surface_is_the_mask_without_its_erosion() -> None:
    for prediction, _ in MASKS.values():
        assert np.array_equal(surface_of(prediction), prediction & ~ndimage.binary_erosion(prediction))
