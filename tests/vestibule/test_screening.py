"""Images that are no T2 of a head are told from such by the image alone."""

import numpy as np
import pytest

from vestibule.editions import get_edition
from vestibule.screening import MOST_VOXELS, screen_image, screen_labels
from vestibule.volume import Geometry, Volume, read_scan, reorient

GEOMETRY = Geometry((12, 70, 70), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def head(brain=100.0, fluid=300.0):
    """A head of 150 x 180 mm in air, with fluid in a tenth of what lies between and behind the ears."""
    _, y, x = np.indices(GEOMETRY.size_zyx)
    outline = ((y - 34.5) / 30) ** 2 + ((x - 34.5) / 25) ** 2 < 1
    voxels = np.where(outline, brain, 0.0)
    # The back of the head is at y = 65; the middle between the ears lies 82 mm in front of it, at y = 37.
    voxels[(np.abs(y - 42) < 2) & (np.abs(x - 34.5) < 6)] = fluid
    noise = np.random.default_rng(0).normal(0, 2, voxels.shape)
    return Volume((voxels + noise).astype(np.float32), GEOMETRY)


def test_nothing_speaks_against_a_head_with_bright_fluid_whatever_its_axes():
    for axes in ("LPS", "RAS", "SRP"):
        assert screen_image(reorient(head(), axes)) == []


@pytest.mark.parametrize("fluid", [30.0, 130.0])
def test_head_whose_fluid_is_not_bright_is_no_t2(fluid):
    (reason,) = screen_image(head(fluid=fluid))
    assert "does not look like T2" in reason


def test_noise_and_shuffled_voxels_are_told():
    generator = np.random.default_rng(0)
    voxels = head().voxels
    for wrong in (generator.normal(100, 10, voxels.shape), generator.permutation(voxels.ravel()).reshape(voxels.shape)):
        (reason,) = screen_image(Volume(wrong.astype(np.float32), GEOMETRY))
        assert "looks like noise" in reason


def test_image_without_the_outline_of_a_head_is_told():
    inverted = head().with_voxels(300 - head().voxels)
    part = head().part(np.s_[0:12, 30:50, 25:45])
    for wrong in (inverted, part):
        (reason,) = screen_image(wrong)
        assert "no outline of a head" in reason


def test_the_parts_of_a_mask_that_fills_the_head_are_not_looked_at():
    side = 1 + round(MOST_VOXELS ** (1 / 3))
    everywhere = Geometry((side, side, side), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), GEOMETRY.direction)
    mask = Volume(np.ones(everywhere.size_zyx, dtype=np.uint8), everywhere)
    reasons, volumes = screen_labels(mask, get_edition(2022))
    assert reasons == [f"vs: {side**3} voxels, which is no part of an ear", "cochlea: empty"]
    assert volumes["vs"] == side**3


def test_no_real_t2_is_told_and_nearly_every_real_t1_is(shared_data):
    told = {"T1W": [], "T2W": []}
    for path in sorted((shared_data / "heads").glob("*.nii.gz")):
        contrast = path.name.removesuffix(".nii.gz").rpartition("_")[2]
        told[contrast].append(bool(screen_image(read_scan(path))))
    assert told["T2W"] == [False] * 5
    # One of them reaches down to the neck, whose fat is as bright on T1 as fluid is on T2.
    assert sum(told["T1W"]) == 5
    assert len(told["T1W"]) == 6
