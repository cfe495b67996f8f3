"""Where a segmenter looks: which part of an image, which folds, and what masks become of it."""

import numpy as np
import pytest
import torch

from tests.tiny_bundle import write_tiny_bundle
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.focus import NEAR_YX_MM, SURE, Focus, _found, _is_cut
from vestibule.pipeline import focus_of, load_model
from vestibule.preprocessing import PreprocessingConfig
from vestibule.segmentation import Segmenter
from vestibule.volume_norm import VolumeNorm

SPACING = (3.0, 2.0, 2.0)
REGION = (64, 64)
"""128 x 128 mm, of which 80 x 104 are near."""


def segmenters(tmp_path, folds: int, mirror_axes=(), focus=None) -> Segmenter:
    """A tiny segmenter whose folds differ by the last layer's bias: each finds less than the one before."""
    bundle = tmp_path / "bundle"
    if not bundle.exists():
        write_tiny_bundle(bundle)
    model = load_model(bundle, device="cpu")
    own = dict(model.segmenter.network.named_parameters())
    parameters = []
    for number in range(folds):
        fold = {name: value.detach().clone() for name, value in own.items()}
        (last,) = [name for name in fold if name.endswith("seg_layers.0.bias")]
        fold[last][0] += number
        parameters.append(fold)
    plans = read_json(bundle / "plans.json")
    dataset = read_json(bundle / "dataset.json")
    return Segmenter(plans, dataset, "3d_fullres", parameters, torch.device("cpu"), mirror_axes, 0.5, focus)


def image(shape=(10, 24, 20)) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("mirror_axes", [(), (0, 1, 2)])
def test_masks_are_those_of_all_folds_everywhere_where_something_is_found_everywhere(tmp_path, mirror_axes):
    plain = segmenters(tmp_path, 2, mirror_axes)
    focused = segmenters(tmp_path, 2, mirror_axes, Focus(None))
    expected = plain.probabilities(image(), SPACING)
    # Random weights find all structures likely everywhere.
    np.testing.assert_allclose(focused.probabilities(image(), SPACING), expected, atol=2e-3)


def test_what_lies_far_from_the_ears_is_background(tmp_path):
    focused = segmenters(tmp_path, 1, focus=Focus(REGION))
    # So small a find is not cut: nothing is likely at all.
    bias = [name for name in focused.states[0] if name.endswith("seg_layers.0.bias")]
    for name in bias:
        focused.states[0][name][0] = 8.0
    background = focused.probabilities(image((10, *REGION)), SPACING)[0]
    rows = np.flatnonzero((background < 1 - 1e-8).any(axis=(0, 2)))
    columns = np.flatnonzero((background < 1 - 1e-8).any(axis=(0, 1)))
    assert (rows[0], rows[-1]) == (12, 51)
    assert (columns[0], columns[-1]) == (6, 57)


def test_what_reaches_beyond_the_near_part_is_looked_at_whole(tmp_path):
    volume = image((10, *REGION))
    expected = segmenters(tmp_path, 2).probabilities(volume, SPACING)
    focused = segmenters(tmp_path, 2, focus=Focus(REGION))
    np.testing.assert_allclose(focused.probabilities(volume, SPACING), expected, atol=2e-3)


def test_other_folds_are_asked_only_around_what_the_first_one_finds(tmp_path, monkeypatch):
    focused = segmenters(tmp_path, 3, focus=Focus(None))
    predictor = focused._predictor
    seen = []

    def slide(data, fold):
        seen.append(tuple(data.shape[1:]))
        logits = torch.zeros(3, *data.shape[1:], dtype=torch.half)
        logits[0] = SURE
        if len(seen) == 1:
            logits[1, 4, 20, 40] = 2 * SURE
        return logits

    monkeypatch.setattr(predictor, "_slide", slide)
    found = focused.probabilities(image((16, 64, 64)), SPACING)
    # A patch of 8 x 16 x 16, and an eighth of it on both sides of the voxel, is a patch again.
    assert seen == [(16, 64, 64), (8, 16, 16), (8, 16, 16)]
    # Two of three folds see nothing but background there.
    assert found[0].argmin() == np.ravel_multi_index((4, 20, 40), (16, 64, 64))
    assert found[1, 4, 20, 40] == pytest.approx(1 / (1 + np.exp(SURE - 2 * SURE / 3)), rel=0.05)


def test_nothing_found_asks_all_folds_everywhere(tmp_path, monkeypatch):
    focused = segmenters(tmp_path, 2, focus=Focus(None))
    seen = []

    def slide(data, fold):
        seen.append(tuple(data.shape[1:]))
        logits = torch.zeros(3, *data.shape[1:], dtype=torch.half)
        logits[0] = SURE
        return logits

    monkeypatch.setattr(focused._predictor, "_slide", slide)
    assert focused.probabilities(image((16, 64, 64)), SPACING)[0].min() == pytest.approx(1)
    assert seen == [(16, 64, 64), (16, 64, 64)]


def test_only_regions_around_the_ears_have_a_near_part():
    focus = focus_of(PreprocessingConfig((0.5, 0.5), (256, 256)))
    assert focus.near((90, 256, 256), (1.2, 0.5, 0.5)) == (1.0, NEAR_YX_MM[0] / 128, NEAR_YX_MM[1] / 128)
    # The larger region of an image in which no ears were found lies around the image's middle.
    assert focus.near((90, 512, 512), (1.2, 0.5, 0.5)) == (1.0, 1.0, 1.0)
    bright = focus_of(PreprocessingConfig((0.5, 0.5), (256, 256), centre="bright"))
    assert bright.near((90, 256, 256), (1.2, 0.5, 0.5)) == (1.0, 1.0, 1.0)
    small = focus_of(PreprocessingConfig((1.2, 1.2), (56, 80)))
    assert small.near((28, 56, 80), (1.5, 1.2, 1.2)) == (1.0, 1.0, 1.0)


def test_a_find_at_a_border_counts_as_cut_only_where_the_image_goes_on():
    near = (slice(0, 8), slice(4, 20), slice(0, 16))
    shape = (8, 24, 16)
    assert not _is_cut((slice(0, 8), slice(1, 15), slice(0, 16)), near, shape)
    assert _is_cut((slice(0, 8), slice(0, 15), slice(0, 16)), near, shape)
    assert _is_cut((slice(0, 8), slice(1, 16), slice(0, 16)), near, shape)


def test_a_voxel_is_found_from_a_tenth_on():
    logits = torch.zeros(2, 3, 4, 5, dtype=torch.half)
    logits[0] = 10
    assert _found(logits) is None
    logits[1, 1, 2, 3] = 10 + float(np.log(0.11 / 0.89))
    assert _found(logits) == (slice(1, 2), slice(2, 3), slice(3, 4))
    logits[1, 1, 2, 3] = 10 + float(np.log(0.09 / 0.91))
    assert _found(logits) is None


def test_norm_of_a_volume_is_that_of_pytorch_in_either_layout():
    norm = VolumeNorm(4, affine=True)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 0.5, -1.0]))
        norm.bias.copy_(torch.arange(4.0))
    plain = torch.nn.InstanceNorm3d(4, affine=True)
    plain.load_state_dict(norm.state_dict())
    for count in (1, 2):
        features = torch.randn(count, 4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
        expected = plain(features)
        torch.testing.assert_close(norm(features), expected)
        last = features.contiguous(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(norm(last), expected)


def test_a_bundle_says_whether_its_segmenter_focuses(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    manifest = read_json(bundle / "manifest.json")
    for arm in manifest["networks"].values():
        arm["segmenter"]["focus"] = True
    write_json(bundle / "manifest.json", manifest)
    # Bundles that name no rule are centred on bright voxels.
    assert load_model(bundle, device="cpu").segmenter._focus == Focus(None)
    manifest["preprocessing"]["centre"] = "head"
    write_json(bundle / "manifest.json", manifest)
    assert load_model(bundle, device="cpu").segmenter._focus == Focus((32, 32))
    manifest["networks"]["oneshot"]["segmenter"]["focus"] = "yes"
    write_json(bundle / "manifest.json", manifest)
    with pytest.raises(InputError, match="focus must be true or false, got 'yes'"):
        load_model(bundle, device="cpu")
