"""The outline of a head on coarse voxels: tissue that hangs together, whatever its contrast."""

import numpy as np
import pytest

from vestibule.head import head_outline
from vestibule.volume import Geometry, Volume

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def image(voxels, spacing=(3.0, 1.0, 1.5)):
    return Volume(voxels.astype(np.float32), Geometry(voxels.shape, spacing, (0.0, 0.0, 0.0), IDENTITY))


def block_and_speck(inside=100.0):
    """Tissue of 4 x 18 x 12 voxels, a speck apart from it, and air."""
    voxels = np.zeros((8, 31, 21))
    voxels[2:6, 6:24, 4:16] = inside
    voxels[0, 0:3, 0:2] = inside
    return voxels


@pytest.mark.parametrize(("sampling", "shape"), [("blocks", (8, 10, 10)), ("points", (8, 11, 11))])
def test_coarse_voxels_are_of_three_millimetres_and_points_cover_the_far_end(sampling, shape):
    head, steps = head_outline(image(block_and_speck()), sampling)
    assert (head.shape, steps) == (shape, (1, 3, 2))


@pytest.mark.parametrize("inside", [100.0, 3000.0])
def test_the_largest_part_is_the_head_and_a_speck_apart_is_not(inside):
    head, _ = head_outline(image(block_and_speck(inside)), "blocks")
    # The block is 6 x 6 coarse voxels in plane; smoothing may add one on each side, and its corner touches no speck.
    assert head[2:6, 2:8, 2:8].all()
    head[1:7, 1:9, 1:9] = False
    assert not head.any()


@pytest.mark.parametrize("sampling", ["blocks", "points"])
def test_nothing_is_outlined_where_nothing_stands_out(sampling):
    head, _ = head_outline(image(np.ones((4, 9, 9))), sampling)
    assert not head.any()


def test_blocks_are_never_larger_than_the_image():
    head, steps = head_outline(image(block_and_speck()[:, :, :4], (0.2, 1.0, 0.5)), "blocks")
    assert (steps, head.shape) == ((8, 3, 4), (1, 10, 1))
