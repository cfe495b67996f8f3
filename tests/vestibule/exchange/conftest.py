"""A phantom's T2 that every format segments, and what this toolkit makes of it."""

import shutil
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from vestibule.boxes import bounding_box
from vestibule.cli import main
from vestibule.files import read_json, write_json
from vestibule.manifest import MANIFEST_NAME
from vestibule.pipeline import Model, load_model
from vestibule.preprocessing import to_working
from vestibule.volume import Volume, read_labels, read_scan


@dataclass
class Expected:
    """A case through the packaged weights."""

    model: Model
    scan: Volume
    working: Volume
    t1: np.ndarray
    mask: np.ndarray


@pytest.fixture(scope="session")
def phantom_weights(repository, tmp_path_factory):
    """The packaged bundle with the arms that translate, which is all that a format can be asked for."""
    bundle = tmp_path_factory.mktemp("weights") / "phantom"
    shutil.copytree(repository / "weights" / "phantom", bundle)
    manifest = read_json(bundle / MANIFEST_NAME)
    manifest |= {"arms": ["baseline", "oneshot"], "default_arm": "oneshot"}
    for told in (manifest["networks"], manifest["scores"]["arms"]):
        del told["direct"]
    for name in [name for name in manifest["files"] if name.startswith("direct_segmenter")]:
        del manifest["files"][name]
        (bundle / name).unlink()
    write_json(bundle / MANIFEST_NAME, manifest)
    return bundle


@pytest.fixture(scope="session")
def expected(repository, phantom_weights) -> Expected:
    """What our own pipeline makes of a phantom."""
    case = repository / "tests" / "container" / "case"
    (path,) = case.glob("input/images/*/*.mha")
    (mask_path,) = case.glob("expected/images/*/*.mha")
    whole = read_scan(path)
    slices, _, _ = bounding_box(read_labels(mask_path).voxels)
    _, size_y, size_x = whole.geometry.size_zyx
    # No more slices than the structures have, which is quicker.
    scan = whole.part((slices, slice(0, size_y), slice(0, size_x)))
    model = load_model(phantom_weights, device="cpu")
    working = to_working(scan, model.preprocessing)
    mask = model.run(scan).voxels
    # Both structures are there to be compared.
    assert set(np.unique(mask)) == {0, 1, 2}
    return Expected(model, scan, working, model.synthetic_t1(working), mask)


@pytest.fixture(scope="session")
def exported(phantom_weights, tmp_path_factory):
    """A function that exports the packaged weights once for each format, by the command."""
    folders = {}

    def export(form):
        if form not in folders:
            out = tmp_path_factory.mktemp("exported") / form
            with pytest.MonkeyPatch.context() as patch:
                words = ["weights", "export", str(phantom_weights), str(out), "--to", form]
                patch.setattr(sys, "argv", ["vestibule", *words])
                main()
            folders[form] = out
        return folders[form]

    return export
