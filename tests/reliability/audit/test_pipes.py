"""Boundary: what is no file. A pipe without a writer would be waited for without end, and a device never ends."""

import json
import os
import shutil

import pytest

from training.config import read_config
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.inputs import find_cases
from vestibule.volume import read_header, read_volume
from vestibule.weights import open_bundle


@pytest.fixture(params=["pipe", "device", "folder"])
def make(request):
    """Put at a path what is no file."""

    def put(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            path.mkdir()
        return path

    return put


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha"])
def test_no_image_is_read_from_it(tmp_path, make, ending):
    path = make(tmp_path / f"a_T2{ending}")
    for read in (read_volume, read_header):
        with pytest.raises(InputError, match="a_T2"):
            read(path)
    selection = find_cases(tmp_path, tmp_path / "out", get_edition(2022))
    assert not selection.cases
    assert len(selection.refused) == 1


def test_no_bundle_is_read_from_it(tmp_path, make, tiny_bundle):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    for name in ("plans.json", "manifest.json"):
        (tmp_path / "bundle" / name).unlink()
        make(tmp_path / "bundle" / name)
        with pytest.raises(InputError, match=name):
            open_bundle(tmp_path / "bundle")


def test_no_mask_and_no_score_is_read_from_it(tmp_path, make, save_mask, run):
    for case in ("c1", "c2"):
        save_mask(tmp_path / "ref" / f"{case}_Label.nii.gz")
    save_mask(tmp_path / "masks" / "c2_Label.nii.gz")
    make(tmp_path / "masks" / "c1_Label.nii.gz")
    options = ["--edition", 2022, "--no-report", "--workers", 1]
    code, told = run("evaluate", tmp_path / "masks", tmp_path / "ref", tmp_path / "out", *options)
    assert code == 1
    assert "scored as empty: c1" in told
    (tmp_path / "out" / "metrics.json").unlink()
    assert read_json(make(tmp_path / "out" / "metrics.json")) is None
    (tmp_path / "out" / "cases.csv").unlink()
    make(tmp_path / "out" / "cases.csv")
    for command in (["rank", tmp_path / "out" / "cases.csv"], ["table1", f"a={tmp_path / 'out'}"]):
        code, told = run(*command)
        assert code == 1
        assert "cases.csv: " in told


def test_no_configuration_is_read_from_it(tmp_path, make):
    with pytest.raises(InputError, match=r"c\.yaml: not a file"):
        read_config(make(tmp_path / "c.yaml"))


def test_no_archive_is_read_from_it(tmp_path, make, run):
    for name in ("x.zip", "x.tar.gz"):
        code, told = run("check", make(tmp_path / name), "--edition", 2022)
        assert code == 1
        assert "error" in told


def test_job_of_the_platform_is_not_read_from_it(tmp_path, make, repository):
    from vestibule.inputs import find_platform_case

    make(tmp_path / "images" / "head-mri" / "a.mha")
    with pytest.raises(InputError, match=r"a\.mha"):
        find_platform_case(tmp_path, tmp_path / "out", "slug")
    # The list of inputs, too.
    item = [{"image": {"name": "a.mha"}, "socket": {"slug": "head-mri"}}]
    (tmp_path / "inputs.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"a\.mha"):
        find_platform_case(tmp_path, tmp_path / "out", "slug")
