"""Harmonisers that train nothing: patches and their nearest neighbours, by numbers worked out by hand."""

import numpy as np
import pytest
import torch

from training.config import GPNNConfig
from training.harmonisers.patch_nearest import PatchNearestHarmoniser, nearest_keys
from training.harmonisers.patches import centre_weights, image_of, patches_of, squared_distances
from vestibule.errors import InputError


def test_patches_of_an_image_give_it_back():
    image = torch.randn(1, 1, 9, 12, generator=torch.Generator().manual_seed(0))
    patches = patches_of(image, 5)
    assert patches.shape == (5 * 8, 25)
    torch.testing.assert_close(image_of(patches, (9, 12), 5), image)


def test_patches_come_row_by_row():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert patches_of(image, 3).tolist() == [[0, 1, 2, 4, 5, 6, 8, 9, 10], [1, 2, 3, 5, 6, 7, 9, 10, 11]]


def test_overlapping_patches_are_averaged_by_how_central_the_pixel_is():
    # Two patches of 3 px side by side: columns 1 and 2 are in both, central in one, at the edge of the other.
    patches = torch.stack([torch.zeros(9), torch.ones(9)])
    image = image_of(patches, (3, 4), 3)
    # The weight of an edge relative to the middle is exp(-0.5 * (1 / 0.75)²) = 0.411.
    edge = 0.4111
    expected = torch.tensor([0, edge / (1 + edge), 1 / (1 + edge), 1])
    torch.testing.assert_close(image[0, 0], expected.expand(3, 4), atol=1e-4, rtol=0)


def test_weights_are_greatest_in_the_middle():
    weights = centre_weights(3)
    assert weights.argmax() == 4
    assert weights[4] == 1


def test_distances_are_squared_euclidean():
    queries = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    keys = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    ((rows, distances),) = squared_distances(queries, keys)
    assert len(queries[rows]) == 2
    assert distances.tolist() == [[0, 4], [25, 13]]


def test_nearest_key_without_completeness():
    queries = torch.tensor([[0.0], [0.4], [1.0]])
    keys = torch.tensor([[0.0], [1.0], [5.0]])
    assert nearest_keys(queries, keys, None).tolist() == [0, 0, 1]


def test_completeness_prefers_a_key_that_nothing_resembles():
    # The second key is 1 from its nearest query, so that its distances 4 and 1 are divided by 1.1 (3.6 and 0.9); the
    # first one's, 0 and 1, are divided by 0.1 (0 and 10).
    queries = torch.tensor([[0.0], [1.0]])
    keys = torch.tensor([[0.0], [2.0]])
    assert nearest_keys(queries, keys, None).tolist() == [0, 0]
    assert nearest_keys(queries, keys, 0.1).tolist() == [0, 1]


def test_slice_that_holds_no_patch_is_refused():
    with pytest.raises(InputError, match=r"\(6, 40\) px; harmoniser.patch_px needs at least 7 px a side"):
        PatchNearestHarmoniser.planned_levels(GPNNConfig(), (6, 40))


def test_slice_smaller_than_a_patch_is_harmonised_all_the_same():
    image = np.random.default_rng(0).uniform(-1, 1, (24, 24)).astype(np.float32)
    harmoniser = PatchNearestHarmoniser(image, GPNNConfig(coarsest_px=9))
    assert harmoniser.apply(image[None, :4, :5], 1).shape == (1, 4, 5)
