import runpy
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from vestibule.exchange.formats import FORMATS, export
from vestibule.files import file_sha256, read_json
from vestibule.pipeline import load_model
from vestibule.preprocessing import bright_centre, find_ears
from vestibule.volume import Geometry, Volume, read_labels, reorient, write_volume


class InOnnxRuntime(nn.Module):
    """A network whose values come from an ONNX file."""

    def __init__(self, path):
        super().__init__()
        self.session = onnxruntime.InferenceSession(path)
        # Tells the device.
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, values):
        name = self.session.get_inputs()[0].name
        return torch.from_numpy(self.session.run(None, {name: values.numpy()})[0])

    def load_state_dict(self, *_, **__):
        return None


def test_masks_through_onnxruntime_are_those_through_torch(exported, expected, phantom_weights):
    folder = exported("onnx")
    arm = read_json(folder / "model.json")["arms"]["oneshot"]
    model = load_model(phantom_weights, device="cpu")
    model = replace(model, translator=InOnnxRuntime(folder / arm["translator"]["file"]))
    model.segmenter._predictor.network = InOnnxRuntime(folder / arm["segmenter"]["files"][0])
    np.testing.assert_array_equal(model.run(expected.scan).voxels, expected.mask)


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """A function that runs the script of a folder on an image, without PyTorch, and returns the mask."""

    def run_it(folder, scan, middle_yx):
        write_volume(tmp_path / "t2.nii.gz", scan)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("torch", "nnunetv2", "vestibule")]:
            monkeypatch.delitem(sys.modules, name)
        for name in ("torch", "nnunetv2", "vestibule", "SimpleITK"):
            monkeypatch.setitem(sys.modules, name, None)
        script = str(folder / "predict.py")
        words = [tmp_path / "t2.nii.gz", tmp_path / "m.nii.gz", *middle_yx]
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        runpy.run_path(script, run_name="__main__")
        monkeypatch.undo()
        written = read_labels(tmp_path / "m.nii.gz")
        assert written.geometry.describes(scan.geometry)
        return written.voxels

    return run_it


def test_the_script_needs_no_torch_and_gives_the_same_mask(exported, expected, run_script):
    mask = run_script(exported("onnx"), expected.scan, find_ears(reorient(expected.scan)))
    np.testing.assert_array_equal(mask, expected.mask)


@pytest.mark.parametrize("slices", [4, 21])
def test_the_script_takes_any_image_and_overlapping_windows(tiny_bundle, tmp_path, run_script, slices):
    """Smaller voxels than the working grid's, and fewer slices than a window or more."""
    export(tiny_bundle, tmp_path / "out", FORMATS["onnx"], "oneshot")
    voxels = np.random.default_rng(0).normal(size=(slices, 90, 100)).astype(np.float32)
    geometry = Geometry(voxels.shape, (3.0, 0.9, 0.7), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    scan = Volume(voxels, geometry)
    model = load_model(tiny_bundle, device="cpu")
    expected = model.run(scan).voxels
    middle = bright_centre(voxels, model.preprocessing.roi_percentile)
    mask = run_script(tmp_path / "out", scan, middle)
    assert len(np.unique(expected)) > 1
    # nnU-Net adds logits up in half precision, and those of random weights are close to each other.
    assert (mask != expected).mean() < 1e-3


def test_the_json_tells_what_has_to_be_done_around_the_networks(exported):
    folder = exported("onnx")
    document = read_json(folder / "model.json")
    assert document["opset"] == 17
    assert document["labels"] == {"background": 0, "vs": 1, "cochlea": 2}
    assert document["default_arm"] == "oneshot"
    assert document["image"]["spacing_yx_mm"] == [1.2, 1.2]
    segmenter = document["arms"]["baseline"]["segmenter"]
    assert (segmenter["patch_size"], segmenter["tile_step"]) == ([56, 80], 1.0)
    # Both arms share a segmenter, which is there once.
    assert sorted(path.name for path in folder.glob("*.onnx")) == sorted(document["files"])
    # And two that stand before and behind them.
    assert {"t2_to_t1.onnx", "logits_to_labels.onnx"} < set(document["files"])
    assert len(document["files"]) == 5
    for name, told in document["files"].items():
        assert told["sha256"] == file_sha256(folder / name)
        assert told["largest_difference_from_pytorch"] < 1e-4


def test_the_script_is_short(exported):
    lines = (exported("onnx") / "predict.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 32


@pytest.mark.parametrize("sides", [(16, 24), (64, 40)])
def test_a_translator_takes_slices_of_any_size(exported, expected, sides):
    slices = torch.rand(3, 1, *sides, generator=torch.Generator().manual_seed(1)) * 2 - 1
    session = onnxruntime.InferenceSession(exported("onnx") / "translator_oneshot.onnx")
    (found,) = session.run(None, {"t2": slices.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(found, expected.model.translator(slices).numpy(), atol=1e-4)
