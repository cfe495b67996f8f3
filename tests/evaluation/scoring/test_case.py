"""All metrics of a case against brute force in the patient's millimetres, on grids that lie askew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from evaluation.scoring.case import score_case
from evaluation.scoring.cases import AlignedPair
from vestibule.editions import get_edition
from vestibule.volume import Geometry


@st.composite
def askew_pairs(draw: st.DrawFn) -> AlignedPair:
    """A tumour in both of two masks of at most 7 voxels a side, down to single voxels, on an oblique grid."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    masks = []
    for density in draw(st.tuples(*[st.sampled_from([0.0, 0.05, 0.4, 1.0])] * 2)):
        mask = (generator.random(shape) < density).astype(np.uint8)
        mask[tuple(generator.integers(0, shape))] = 1
        masks.append(mask)
    direction = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    spacing = draw(st.tuples(*[st.floats(0.2, 4.0)] * 3))
    origin = tuple(generator.uniform(-100, 100, 3))
    return AlignedPair(*masks, Geometry(shape, spacing, origin, tuple(direction.ravel())))


def surface_mm(mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Places (N, 3) in the patient of the voxels that have a face neighbour outside the mask."""
    padded = np.pad(mask, 1)
    steps = [sign * row for row in np.eye(3, dtype=int) for sign in (-1, 1)]
    found = [index for index in np.argwhere(mask) if not all(padded[tuple(index + 1 + step)] for step in steps)]
    return geometry.to_patient(np.array(found)[:, ::-1])


@settings(max_examples=60, deadline=None)
@given(askew_pairs())
def test_scores_equal_brute_force_in_the_patient(pair: AlignedPair) -> None:
    row = score_case("a", pair, get_edition(2022))[0]
    table = cdist(*(surface_mm(mask, pair.geometry) for mask in (pair.prediction, pair.reference)))
    forth, back = table.min(axis=1), table.min(axis=0)
    both = np.concatenate([forth, back])
    overlap = 2 * (pair.prediction & pair.reference).sum() / (pair.prediction.sum() + pair.reference.sum())
    assert row["dice"] == pytest.approx(overlap, abs=1e-12)
    assert row["assd_mm"] == pytest.approx(both.mean(), abs=1e-9)
    assert row["hd95_pooled_mm"] == pytest.approx(np.percentile(both, 95), abs=1e-9)
    assert row["hd95_directed_mm"] == pytest.approx(max(np.percentile(d, 95) for d in (forth, back)), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(askew_pairs())
def test_the_challenges_distances_are_those_of_a_grid_along_the_axes(pair: AlignedPair) -> None:
    row = score_case("a", pair, get_edition(2022), "challenge")[0]
    diagonal = np.abs(np.diag(pair.geometry.matrix * pair.geometry.spacing_zyx[::-1]))[::-1]
    straight = Geometry(pair.geometry.size_zyx, tuple(diagonal), (0.0,) * 3, tuple(np.eye(3).ravel()))
    table = cdist(*(surface_mm(mask, straight) for mask in (pair.prediction, pair.reference)))
    assert row["assd_mm"] == pytest.approx((table.min(axis=1).mean() + table.min(axis=0).mean()) / 2, abs=1e-9)
