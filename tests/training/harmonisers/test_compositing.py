from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import TransferConfig
from training.data.reference_slice import Reference
from training.harmonisers.compositing import (
    Intensity,
    composite,
    core_of,
    match_intensity,
    partial_volume,
    soft_edge,
    target_intensity,
)
from training.harmonisers.singan import SinGANHarmoniser
from training.harmonisers.singan_network import SinGAN
from vestibule.errors import InputError

TARGET = Intensity(-0.3, 0.1)
HARMONISE = TransferConfig(intensity="reference", level=1, edge_px=1.0)


@pytest.fixture(scope="module")
def harmoniser():
    torch.manual_seed(0)
    model = SinGAN([(12, 12), (16, 16)], [4, 4], 3)
    model.amplitudes[:] = 0.1
    return SinGANHarmoniser(model.eval())


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (2, 5, 40, 36)).astype(np.float32)


def noise():
    return torch.Generator().manual_seed(1)


def box_mask(*slices):
    mask = np.zeros((5, 40, 36), dtype=bool)
    for index in slices:
        mask[index] = True
    return mask


MASKS = {
    "in the middle": box_mask(np.s_[1:4, 15:22, 10:20]),
    "at the volume's edge": box_mask(np.s_[0:2, 0:4, 30:36]),
    "cut by the field of view": box_mask(np.s_[3:5, 36:40, 0:7]),
    "two components": box_mask(np.s_[1:2, 3:6, 3:6], np.s_[3:4, 30:35, 30:34]),
    "one voxel": box_mask(np.s_[2, 20, 18]),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_only_the_tumour_region_is_replaced(images, harmoniser, mask):
    source, erased = images
    result = composite(source, mask, erased, HARMONISE, TARGET, harmoniser.at_level(1, noise()))
    away = soft_edge(mask, HARMONISE.edge_px) == 0
    assert away.sum() > 0.5 * away.size
    np.testing.assert_array_equal(result.harmonised[away], erased[away])
    assert not np.array_equal(result.harmonised[mask], erased[mask])
    np.testing.assert_array_equal(result.naive[mask], source[mask])
    np.testing.assert_array_equal(result.naive[~mask], erased[~mask])
    assert np.abs(result.harmonised).max() <= 1


@pytest.mark.parametrize("blending", ["soft", "poisson"])
def test_what_enters_the_harmoniser_is_kept(images, blending):
    source, erased = images
    mask = MASKS["in the middle"]
    seen = []

    def watched(slices):
        seen.append(slices)
        return np.zeros_like(slices)

    settings = replace(HARMONISE, blending=blending)
    result = composite(source, mask, erased, settings, TARGET, watched)
    # The mask's slices, 16 voxels around it, as far as the image goes.
    (entered,) = seen
    np.testing.assert_array_equal(result.entered[1:4, 0:38, 0:36], entered)
    assert not np.array_equal(result.entered[mask], source[mask])
    away = soft_edge(mask, 1.0) == 0
    np.testing.assert_array_equal(result.entered[away], erased[away])


def test_case_without_a_tumour_stays_as_it_is(images, harmoniser):
    source, erased = images
    nothing = np.zeros_like(source, dtype=bool)
    result = composite(source, nothing, erased, HARMONISE, TARGET, harmoniser.at_level(1, noise()))
    np.testing.assert_array_equal(result.harmonised, erased)


def test_without_injection_and_rim_the_copy_is_the_matched_one(images, harmoniser):
    source, erased = images
    config = TransferConfig(intensity="reference", level=None, rim_px=0.0)
    mask = MASKS["in the middle"]
    result = composite(source, mask, erased, config, TARGET)
    np.testing.assert_allclose(result.harmonised[mask], match_intensity(source, mask, TARGET)[mask], atol=1e-6)


def test_rim_mixes_the_inside_of_the_tumour_with_what_lies_around_it_on_t2():
    mask, source = np.zeros((1, 20, 20), dtype=bool), np.full((1, 20, 20), -1, dtype=np.float32)
    mask[:, :10] = True
    source[:, :9] = 0.5  # the last row of the tumour is half as bright, mixed with dark fluid
    source[:, 9] = -0.25
    erased = np.full_like(source, 0.9)
    result = composite(source, mask, erased, TransferConfig(rim_px=0.6)).harmonised
    # exp(-d² / (2 · 0.6²)) at d = 0, 1, 2: 1, 0.24935, 0.00387
    shares = np.cumsum([0.00387, 0.24935, 1, 0.24935, 0.00387]) / 1.50644
    expected = 0.9 + shares[::-1] * (0.5 - 0.9)
    np.testing.assert_allclose(result[0, 7:12, 10], expected, atol=1e-4)
    np.testing.assert_array_equal(result[0, 12:], erased[0, 12:])


def test_without_a_rim_the_copy_ends_with_that_of_t1():
    mask, source = np.zeros((1, 20, 20), dtype=bool), np.full((1, 20, 20), -1, dtype=np.float32)
    mask[:, :10] = True
    source[:, :9], source[:, 9] = 0.5, -0.25
    erased = np.full_like(source, 0.9)
    result = composite(source, mask, erased, TransferConfig(rim_px=0.0)).harmonised
    np.testing.assert_allclose(result[0, 7:12, 10], [0.5, 0.5, -0.25, 0.9, 0.9], atol=1e-6)


def test_tumour_cut_by_the_field_of_view_has_no_rim_there():
    mask = MASKS["cut by the field of view"]
    assert core_of(mask)[4, 39, 0]
    assert partial_volume(mask, 0.6)[4, 39, 0] == pytest.approx(1, abs=0.01)


def test_core_leaves_out_what_touches_other_tissue_in_the_slice_unless_all_does():
    core = core_of(MASKS["in the middle"])
    np.testing.assert_array_equal(core, box_mask(np.s_[1:4, 16:21, 11:19]))
    np.testing.assert_array_equal(core_of(MASKS["one voxel"]), MASKS["one voxel"])


def test_copy_is_matched_to_the_reference_by_cores_alone(images, harmoniser):
    source, erased = images[0].copy(), images[1]
    mask = MASKS["in the middle"]
    core = core_of(mask)
    source[mask & ~core] = -1
    config = TransferConfig(intensity="reference", level=None, rim_px=0.1)
    result = composite(source, mask, erased, config, TARGET).harmonised
    assert result[core].mean() == pytest.approx(TARGET.mean, abs=1e-3)
    assert result[core].std() == pytest.approx(TARGET.sd, abs=1e-3)


def test_intensity_of_the_reference_leaves_its_rim_out_where_the_copys_does():
    image, tumour = np.full((9, 9), -1, dtype=np.float32), np.zeros((9, 9), dtype=bool)
    tumour[2:7, 2:7] = True
    image[tumour], image[3:6, 3:6] = 0.5, -0.4
    reference = Reference("a", 3, "given", image, tumour)
    assert target_intensity(HARMONISE, reference).mean == pytest.approx(-0.4)
    whole = target_intensity(replace(HARMONISE, rim_px=0.0), reference)
    assert whole.mean == pytest.approx((9 * -0.4 + 16 * 0.5) / 25)


def test_same_noise_gives_the_same_result_and_no_noise_another(images, harmoniser):
    source, erased = images
    mask = MASKS["in the middle"]
    first, second = (
        composite(source, mask, erased, HARMONISE, TARGET, harmoniser.at_level(1, noise())).harmonised for _ in range(2)
    )
    still = composite(source, mask, erased, HARMONISE, TARGET, harmoniser.at_level(1)).harmonised
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - still).max() > 1e-4


def test_matched_copy_has_the_references_mean_and_spread():
    source = np.random.default_rng(0).normal(0.5, 0.2, (3, 20, 20)).astype(np.float32)
    mask = np.zeros(source.shape, dtype=bool)
    mask[1, 4:16, 4:16] = True
    matched = match_intensity(source, mask, TARGET)[mask]
    assert matched.mean() == pytest.approx(-0.3, abs=1e-3)
    assert matched.std() == pytest.approx(0.1, abs=1e-3)


def test_one_voxel_is_matched_to_the_references_mean():
    source = np.full((1, 3, 3), 0.9, dtype=np.float32)
    mask = np.zeros(source.shape, dtype=bool)
    mask[0, 1, 1] = True
    assert match_intensity(source, mask, TARGET)[0, 1, 1] == pytest.approx(-0.3)


def test_soft_edge_is_1_on_the_mask_falls_by_the_gaussian_and_ends():
    mask = np.zeros((2, 21, 41), dtype=bool)
    mask[0, :, :20] = True
    weight = soft_edge(mask, 1.0)
    np.testing.assert_array_equal(weight[0, :, :20], 1)
    assert weight[0, 10, 20] == pytest.approx(np.exp(-0.5))
    assert weight[0, 10, 21] == pytest.approx(np.exp(-2.0))
    assert (weight[0, :, 23:] == 0).all()
    assert (weight[1] == 0).all()


def test_other_shapes_are_refused(images, harmoniser):
    source, erased = images
    with pytest.raises(ValueError, match="one shape"):
        composite(source, MASKS["one voxel"][1:], erased, HARMONISE)


def test_reference_rule_needs_a_labelled_tumour():
    reference = Reference("a", 3, "given", np.zeros((9, 9)), np.zeros((9, 9), dtype=bool))
    assert target_intensity(replace(HARMONISE, intensity="none"), reference) is None
    with pytest.raises(InputError, match=r"a, slice 3.*label it"):
        target_intensity(HARMONISE, reference)
