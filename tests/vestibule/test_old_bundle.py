"""A bundle of November 2026 still reads: manifest, documents and the names of its tensors, as they were then.

`old_bundle/` holds them as they were written; tensors.json stands for three megabytes of numbers by name and shape.
"""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vestibule.cli import main
from vestibule.files import file_sha256
from vestibule.pipeline import load_model
from vestibule.preprocessing import PreprocessingConfig
from vestibule.volume import Geometry, Volume
from vestibule.weights import open_bundle

DOCUMENTS = ("manifest.json", "segmenter_plans.json", "segmenter_dataset.json", "MODEL_CARD.md")


@pytest.fixture(scope="module")
def old_bundle(tmp_path_factory, repository):
    """The old bundle with zeros for weights, whose hashes alone are put into its manifest."""
    kept, bundle = repository / "tests" / "vestibule" / "old_bundle", tmp_path_factory.mktemp("old") / "phantom"
    bundle.mkdir()
    for name in DOCUMENTS:
        shutil.copy(kept / name, bundle)
    manifest = json.loads((kept / "manifest.json").read_text())
    for name, shapes in json.loads((kept / "tensors.json").read_text()).items():
        path = bundle / f"{name}.safetensors"
        save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
        manifest["files"][path.name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def test_old_bundle_opens_with_what_it_tells(old_bundle):
    bundle = open_bundle(old_bundle)
    assert (bundle.arm(), bundle.arm("baseline")) == ("oneshot", "baseline")
    assert bundle.notice.startswith("phantom weights: trained on synthetic images")
    assert bundle.broken_rules == []


@pytest.mark.parametrize("arm", ["baseline", "oneshot"])
def test_old_bundle_loads_and_runs(old_bundle, arm):
    model = load_model(old_bundle, arm, "cpu")
    assert (model.arm, model.edition) == (arm, 2021)
    assert model.preprocessing == PreprocessingConfig((1.2, 1.2), (56, 80), (0.5, 99.8), "head", 75.0)
    voxels = np.random.default_rng(0).integers(0, 500, (3, 40, 40)).astype(np.float32)
    geometry = Geometry((3, 40, 40), (1.5, 3.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    mask = model.run(Volume(voxels, geometry))
    assert (mask.voxels.dtype, mask.geometry) == (np.uint8, geometry)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_old_bundle_is_told_of_by_the_commands(old_bundle, command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vestibule", "weights", command, str(old_bundle)])
    main()
    assert str(old_bundle.name) in capsys.readouterr().out


def test_bundle_of_the_repository_reads(repository):
    folder = repository / "weights" / "phantom"
    manifest = open_bundle(folder).manifest
    assert load_model(folder, device="cpu").arm == manifest["default_arm"]
    for arm in manifest["arms"]:
        assert load_model(folder, arm, "cpu").arm == arm
