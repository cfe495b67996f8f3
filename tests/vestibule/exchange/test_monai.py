"""The bundle is run and verified by MONAI itself, where neither this toolkit nor nnU-Net can be imported."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from vestibule.exchange.formats import FORMATS, export
from vestibule.files import file_sha256
from vestibule.volume import read_labels, reorient, write_volume

for package in ("fire", "ignite", "jsonschema"):
    pytest.importorskip(package)

RUN = """
import sys
for name in ("vestibule", "nnunetv2", "SimpleITK", "scipy", "skimage"):
    sys.modules[name] = None
from monai.bundle import run, verify_metadata, verify_net_in_out
configs = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
run(**configs, dataset_dir=sys.argv[1], output_dir=sys.argv[2])
verify_metadata(meta_file=configs["meta_file"], filepath=sys.argv[3])
verify_net_in_out(net_id="network_def", **configs, device="cpu", any=40)
"""
TEXTS = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


@pytest.fixture
def schema(tmp_path):
    """What MONAI's specification asks of `metadata.json`; its own schema would have to be downloaded."""
    tensor = {"type": "object", "required": list(TENSOR), "properties": {"num_channels": {"type": "integer"}}}
    tensors = {"type": "object", "minProperties": 1, "additionalProperties": tensor}
    sides = {"type": "object", "required": ["inputs", "outputs"], "additionalProperties": tensors}
    properties = {name: {"type": "string"} for name in (*TEXTS, "copyright")}
    properties |= {"required_packages_version": {"type": "object"}, "network_data_format": sides}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"type": "object", "required": list(properties), "properties": properties}))
    return path


def test_masks_of_monai_are_those_of_predict_on_every_orientation(exported, expected, schema, tmp_path):
    turned = {"as_it_lies": expected.scan, "sagittal": reorient(expected.scan, "SAL")}
    for name, scan in turned.items():
        write_volume(tmp_path / "in" / f"{name}.nii.gz", scan)
    command = [sys.executable, "-c", RUN, tmp_path / "in", tmp_path / "out", schema]
    done = subprocess.run(command, cwd=exported("monai"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]

    mask = expected.scan.with_voxels(expected.mask)
    for name, scan in turned.items():
        written = read_labels(tmp_path / "out" / f"{name}_Label.nii.gz")
        assert written.geometry.describes(scan.geometry, tolerance_mm=1e-3)
        wanted = mask if name == "as_it_lies" else reorient(mask, "SAL")
        np.testing.assert_array_equal(written.voxels, wanted.voxels)


def test_the_folder_is_as_monai_s_specification_has_it(exported):
    folder = exported("monai")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == [
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
        "models/model.ts",
    ]
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "vs",
        "2": "cochlea",
    }
    assert round(metadata["eval_metrics"]["mean_dice_cochlea"], 3) == 0.649
    assert "Not a medical device" in metadata["intended_use"]
    assert "phantoms only, not for patients" in (folder / "docs" / "README.md").read_text().lower()
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    torch.jit.load(folder / "models" / "model.ts").load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization_schemes": ["CTNormalization"]}, "CTNormalization"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "resample_torch_fornnunet"),
    ],
)
def test_plans_that_the_program_cannot_follow_are_refused(tiny_bundle, tmp_path, run, changes, message):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    plans = json.loads((bundle / "plans.json").read_text())
    plans["configurations"]["3d_fullres"] |= changes
    (bundle / "plans.json").write_text(json.dumps(plans))
    manifest = json.loads((bundle / "manifest.json").read_text())
    entry = {"sha256": file_sha256(bundle / "plans.json"), "bytes": (bundle / "plans.json").stat().st_size}
    manifest["files"]["plans.json"] = entry
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    code, _, lines = run("weights", "export", bundle, tmp_path / "out", "--to", "monai")
    assert code == 1
    assert message in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_weights_of_the_challenge_have_the_terms_of_its_data(tiny_bundle, tmp_path):
    export(tiny_bundle, tmp_path / "out", FORMATS["monai"])
    assert "forbid commercial use" in (tmp_path / "out" / "LICENSE").read_text()
