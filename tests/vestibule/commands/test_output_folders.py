"""Every command that writes a folder refuses one that another process is writing, before it has written anything."""

import json
import shutil

import numpy as np
import pytest

from vestibule.locks import claimed
from vestibule.volume import Geometry, Volume, write_volume

GEOMETRY = Geometry((4, 24, 24), (6.0, 3.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CASE = "crossmoda2022_ldn_1"
COMMANDS = {
    "phantom": ("phantom", "OUT"),
    "predict": ("predict", "t2", "OUT", "--weights", "run/export/bundle"),
    "evaluate": ("evaluate", "masks", "masks", "OUT", "--workers", "1"),
    "evaluate-teams": ("evaluate-teams", "teams", "masks", "OUT", "--workers", "1"),
    "pictures": ("pictures", "masks", "OUT", "--images", "t2"),
    "pictures with references": ("pictures", "masks", "masks", "OUT", "--images", "t2"),
    "import dicom": ("import", "dicom", "t2", "OUT"),
    "import tcia-vs-seg": ("import", "tcia-vs-seg", "download", "OUT"),
    "train publish": ("train", "publish", "run", "OUT", "--scores", "scores.json", "--cases", "1"),
    "train evidence": ("train", "evidence", "run"),
}
FOLDERS = {"train evidence": "run/evidence"}


@pytest.fixture
def folders(tmp_path, tiny_bundle, monkeypatch):
    """One case, a bundle in the place of a run's, and a download without a patient, in the current folder."""
    monkeypatch.chdir(tmp_path)
    voxels = np.random.default_rng(0).normal(size=GEOMETRY.size_zyx).astype(np.float32)
    write_volume(tmp_path / f"t2/{CASE}_hrT2.nii.gz", Volume(voxels, GEOMETRY))
    write_volume(tmp_path / f"masks/{CASE}_Label.nii.gz", Volume((voxels > 1).astype(np.uint8), GEOMETRY))
    shutil.copytree(tmp_path / "masks", tmp_path / "teams/one")
    shutil.copytree(tiny_bundle, tmp_path / "run/export/bundle")
    (tmp_path / "download/VS-SEG-001").mkdir(parents=True)
    (tmp_path / "scores.json").write_text(json.dumps({"arms": {}}))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_folder_that_another_process_writes_is_refused(name, folders, run):
    out = folders / FOLDERS.get(name, "out")
    arguments = [str(out) if word == "OUT" else word for word in COMMANDS[name]]
    with claimed(out):
        code, _, err = run(*arguments)
    assert code == 1
    assert f"{out.name}: is being written by process" in err[-1]
    assert list(out.rglob("*")) == []
