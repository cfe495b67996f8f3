"""Dice and surface distances against numbers worked out by hand and against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from evaluation.metrics import assd, dice, empty_distance, surface_distances


def brute_surface(mask: np.ndarray) -> np.ndarray:
    """Indices (N, 3) of the set voxels with an unset face neighbour; outside the array nothing is set."""
    padded = np.pad(mask, 1)
    steps = [step for axis in range(3) for step in (np.eye(3, dtype=int)[axis], -np.eye(3, dtype=int)[axis])]
    found = [i for i in np.argwhere(mask) if not all(padded[tuple(i + 1 + step)] for step in steps)]
    return np.array(found)


def brute_distances(prediction: np.ndarray, reference: np.ndarray, spacing: tuple) -> tuple[np.ndarray, np.ndarray]:
    table = cdist(brute_surface(prediction) * spacing, brute_surface(reference) * spacing)
    return table.min(axis=1), table.min(axis=0)


def voxels(shape: tuple[int, int, int], *indices: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    for index in indices:
        mask[index] = True
    return mask


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Two masks, neither empty, of one shape (at most 7 a side), and a spacing in mm."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    masks = []
    for density in draw(st.tuples(*[st.sampled_from([0.0, 0.03, 0.3, 0.7, 1.0])] * 2)):
        mask = generator.random(shape) < density
        mask[tuple(generator.integers(0, shape))] = True
        masks.append(mask)
    return *masks, draw(st.tuples(*[st.floats(0.1, 5.0)] * 3))


@settings(max_examples=80, deadline=None)
@given(mask_pairs())
def test_distances_equal_brute_force(pair: tuple) -> None:
    found = surface_distances(*pair)
    for ours, brute in zip(found, brute_distances(*pair), strict=True):
        np.testing.assert_allclose(np.sort(ours), np.sort(brute), rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(mask_pairs())
def test_metrics_equal_their_definitions_on_brute_force_distances(pair: tuple) -> None:
    found, (forth, back) = surface_distances(*pair), brute_distances(*pair)
    assert found.assd() == pytest.approx(np.concatenate([forth, back]).mean(), abs=1e-9)
    assert found.assd("challenge") == pytest.approx((forth.mean() + back.mean()) / 2, abs=1e-9)
    assert found.hd95_pooled() == pytest.approx(np.percentile(np.concatenate([forth, back]), 95), abs=1e-9)
    expected = max(np.percentile(forth, 95), np.percentile(back, 95))
    assert found.hd95_directed() == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(mask_pairs())
def test_distances_do_not_depend_on_the_image_around_the_masks(pair: tuple) -> None:
    prediction, reference, spacing = pair
    padded = [np.pad(mask, ((3, 1), (0, 4), (2, 2))) for mask in (prediction, reference)]
    for inner, outer in zip(surface_distances(*pair), surface_distances(*padded, spacing), strict=True):
        np.testing.assert_allclose(np.sort(inner), np.sort(outer), rtol=0, atol=1e-9)


@pytest.mark.parametrize("density", [0.004, 0.5])
def test_scattered_and_dense_masks_equal_brute_force(density: float) -> None:
    generator, shape, spacing = np.random.default_rng(5), (6, 22, 24), (1.5, 0.4, 0.7)
    masks = [generator.random(shape) < density for _ in range(2)]
    forth, back = (
        cdist(brute_surface(a) * spacing, brute_surface(b) * spacing).min(1) for a, b in (masks, masks[::-1])
    )
    found = surface_distances(*masks, spacing)
    np.testing.assert_allclose(np.sort(found.prediction_to_reference), np.sort(forth), rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.sort(found.reference_to_prediction), np.sort(back), rtol=0, atol=1e-9)


def test_single_voxels_are_apart_by_the_spacing() -> None:
    one, other = voxels((4, 5, 6), (0, 0, 0)), voxels((4, 5, 6), (1, 2, 3))
    found = surface_distances(one, other, (1.5, 0.5, 0.4))
    assert found.prediction_to_reference == pytest.approx([np.sqrt(1.5**2 + 1.0**2 + 1.2**2)])
    assert found.assd() == found.assd("challenge") == found.hd95_pooled() == found.hd95_directed()


def test_the_two_definitions_of_assd_differ_as_worked_out_by_hand() -> None:
    prediction, reference = voxels((1, 1, 9), (0, 0, 0), (0, 0, 1), (0, 0, 7)), voxels((1, 1, 9), (0, 0, 0))
    found = surface_distances(prediction, reference, (1.0, 1.0, 1.0))
    assert found.assd() == pytest.approx((0 + 1 + 7 + 0) / 4)
    assert found.assd("challenge") == pytest.approx(((0 + 1 + 7) / 3 + 0) / 2)


def test_a_mask_at_the_edge_of_the_image_has_its_surface_there() -> None:
    full, centre = np.ones((3, 3, 3), dtype=bool), voxels((3, 3, 3), (1, 1, 1))
    found = surface_distances(full, centre, (1.0, 1.0, 1.0))
    assert found.prediction_to_reference.size == 26


def test_a_spacing_of_zero_counts_for_nothing() -> None:
    one, other = voxels((4, 4, 4), (0, 0, 0)), voxels((4, 4, 4), (3, 0, 2))
    assert assd(one, other, (0.0, 1.0, 0.5)) == pytest.approx(1.0)
    assert assd(one, other, (1.0, 1.0, 0.0)) == pytest.approx(3.0)


def test_dice_is_twice_the_overlap_over_the_sum() -> None:
    one, other = voxels((1, 1, 4), (0, 0, 0), (0, 0, 1)), voxels((1, 1, 4), (0, 0, 1))
    assert dice(one, other) == pytest.approx(2 / 3)


def test_two_empty_masks_agree_in_the_default_mode() -> None:
    empty = np.zeros((2, 3, 4), dtype=bool)
    assert dice(empty, empty) == 1.0
    assert assd(empty, empty, (1.0, 1.0, 1.0)) == 0.0


def test_an_empty_prediction_costs_350_mm_in_the_challenge_and_the_diagonal_otherwise() -> None:
    empty, one = np.zeros((2, 3, 4), dtype=bool), voxels((2, 3, 4), (0, 0, 0))
    assert dice(empty, one) == 0.0
    assert assd(empty, one, (2.0, 1.0, 1.0), "challenge") == 350.0
    assert assd(empty, one, (2.0, 1.0, 1.0)) == pytest.approx(np.sqrt(4**2 + 3**2 + 4**2))
    assert assd(one, empty, (2.0, 1.0, 1.0)) == assd(empty, one, (2.0, 1.0, 1.0))


def test_no_distance_in_an_image_exceeds_that_of_an_empty_mask() -> None:
    one, other = voxels((5, 6, 7), (0, 0, 0)), voxels((5, 6, 7), (4, 5, 6))
    assert assd(one, other, (2.0, 1.0, 0.5)) < empty_distance((5, 6, 7), (2.0, 1.0, 0.5))


def test_masks_of_any_type_are_read_as_set_where_not_zero() -> None:
    one, other = voxels((3, 3, 3), (0, 0, 0)), voxels((3, 3, 3), (0, 0, 2))
    assert assd(one.astype(np.float32), other.astype(np.int16) * 7, (1, 1, 1)) == 2.0


@pytest.mark.parametrize(
    ("prediction", "reference", "spacing", "message"),
    [
        (np.ones((2, 2, 2)), np.ones((2, 2, 3)), (1, 1, 1), "of one shape"),
        (np.ones((2, 2)), np.ones((2, 2)), (1, 1), "3-D"),
        (np.ones((2, 2, 2)), np.zeros((2, 2, 2)), (1, 1, 1), "empty mask"),
        (np.ones((2, 2, 2)), np.ones((2, 2, 2)), (1, np.nan, 1), "spacing_zyx"),
    ],
)
def test_bad_arguments_are_named(prediction: np.ndarray, reference: np.ndarray, spacing: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        surface_distances(prediction, reference, spacing)


def test_an_unknown_mode_is_refused() -> None:
    one = voxels((2, 2, 2), (0, 0, 0))
    with pytest.raises(ValueError, match="mode must be one of default, challenge"):
        assd(one, one, (1, 1, 1), "medpy")
