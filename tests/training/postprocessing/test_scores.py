import numpy as np
import pytest

from training.postprocessing.scores import score


def volume(*voxels):
    mask = np.zeros((3, 8, 8), bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


REFERENCE = volume((1, 2, 2), (1, 2, 3))


def test_same_mask_is_perfect():
    found = score(REFERENCE, REFERENCE, (2.0, 1.0, 1.0))
    assert (found.dice, found.assd_mm, found.failed) == (1.0, 0.0, False)


def test_dice_and_distance_are_those_worked_out_by_hand():
    found = score(volume((1, 2, 3), (1, 2, 4)), REFERENCE, (2.0, 1.0, 1.0))
    # One of two voxels is common; on either side one lies on the other surface and one beside it.
    assert found.dice == 0.5
    assert found.assd_mm == 0.5


def test_the_two_surfaces_count_alike_whatever_their_sizes():
    found = score(volume((1, 2, 2), (1, 2, 3), (1, 2, 6)), REFERENCE, (2.0, 1.0, 1.0))
    # From the mask 0, 0 and 3 mm, a mean of 1; from the reference 0.
    assert found.assd_mm == 0.5


def test_empty_and_far_masks_are_failures():
    assert score(volume(), REFERENCE, (1.0, 1.0, 1.0)).failed
    assert score(volume((1, 2, 2)), volume((1, 7, 7)), (1.0, 1.0, 1.0)).failed
    assert not score(volume((1, 2, 2)), REFERENCE, (1.0, 1.0, 1.0)).failed


def test_empty_reference_is_refused():
    with pytest.raises(ValueError, match="without a voxel"):
        score(REFERENCE, volume(), (1.0, 1.0, 1.0))
