"""The smallest box around a mask, whatever its type."""

import numpy as np
import pytest

from vestibule.boxes import bounding_box, union_of, widened

TYPES = (bool, np.uint8, np.int16, np.uint16, np.int64, np.float16, np.float32, np.float64)


@pytest.mark.parametrize("dtype", TYPES, ids=[np.dtype(dtype).name for dtype in TYPES])
def test_box_holds_every_voxel_that_is_not_zero_and_no_more(dtype):
    voxels = np.zeros((6, 7, 8), dtype=dtype)
    assert bounding_box(voxels) is None
    voxels[1, 3, 2] = voxels[3, 2, 5] = 1
    assert bounding_box(voxels) == (slice(1, 4), slice(2, 4), slice(2, 6))
    assert bounding_box(voxels.transpose(2, 0, 1)) == (slice(2, 6), slice(1, 4), slice(2, 4))


def test_box_of_one_voxel_at_the_edge_and_of_a_full_array():
    voxels = np.zeros((3, 4, 5), dtype=bool)
    voxels[2, 0, 4] = True
    assert bounding_box(voxels) == (slice(2, 3), slice(0, 1), slice(4, 5))
    assert bounding_box(np.ones((3, 4, 5), dtype=bool)) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_values_of_opposite_sign_do_not_cancel_and_minus_zero_is_zero():
    voxels = np.full((4, 4, 4), -0.0, dtype=np.float32)
    assert bounding_box(voxels) is None
    voxels[0, 1, 1], voxels[2, 1, 1] = 5.0, -5.0
    assert bounding_box(voxels) == (slice(0, 3), slice(1, 2), slice(1, 2))
    assert bounding_box(voxels.astype(np.int16)) == (slice(0, 3), slice(1, 2), slice(1, 2))


def test_union_of_boxes_holds_each_of_them():
    one = slice(1, 3), slice(0, 2), slice(5, 6)
    other = slice(2, 4), slice(1, 2), slice(0, 1)
    assert union_of(one, other) == (slice(1, 4), slice(0, 2), slice(0, 6))
    assert union_of(one) == one


def test_widened_box_ends_where_the_array_does():
    box = (slice(1, 2), slice(3, 5), slice(6, 9))
    assert widened(box, (0, 2, 4), (5, 6, 20)) == (slice(1, 2), slice(1, 6), slice(2, 13))
    assert widened(box, (3, 0, 99), (5, 6, 20)) == (slice(0, 5), slice(3, 5), slice(0, 20))
