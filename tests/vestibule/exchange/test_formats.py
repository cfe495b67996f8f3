import json
import os
import shutil
import sys

import pytest

from vestibule.exchange.formats import FORMATS
from vestibule.files import file_sha256, new_folder


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_that_is_there_is_refused_and_left_alone(run, tiny_bundle, tmp_path, form):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    code, _, lines = run("weights", "export", tiny_bundle, tmp_path / "out", "--to", form)
    assert code == 1
    assert "is there already" in lines[-1]
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_bundle_that_fails_verification_is_refused_and_nothing_is_left(run, tiny_bundle, tmp_path, form):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / "plans.json").write_text((bundle / "plans.json").read_text() + " ")
    code, _, lines = run("weights", "export", bundle, tmp_path / "out", "--to", form)
    assert code == 1
    assert "plans.json: has" in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_arm_that_the_bundle_lacks_is_refused(run, tiny_bundle, tmp_path, form):
    code, _, lines = run("weights", "export", tiny_bundle, tmp_path / "out", "--to", form, "--arm", "other")
    assert code == 1
    assert "holds no arm 'other'" in lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_plans_that_name_code_are_refused_before_anything_is_built(run, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    plans = json.loads((bundle / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "torch.hub.load"
    (bundle / "plans.json").write_text(json.dumps(plans))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["plans.json"] = _described(bundle / "plans.json")
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    code, _, lines = run("weights", "export", bundle, tmp_path / "out", "--to", "nnunet")
    assert code == 1
    assert "network_class_name must be one of" in lines[-1]
    assert "torch.hub.load" in lines[-1]


@pytest.mark.parametrize(("form", "package"), [("onnx", "onnxruntime"), ("monai", "monai")])
def test_a_missing_extra_is_told_in_one_line(run, tiny_bundle, tmp_path, monkeypatch, form, package):
    module, _, _ = FORMATS[form].entry.partition(":")
    monkeypatch.delitem(sys.modules, module, raising=False)
    for name in [package, *sys.modules]:
        if name.partition(".")[0] == package:
            monkeypatch.setitem(sys.modules, name, None)
    code, _, lines = run("weights", "export", tiny_bundle, tmp_path / "out", "--to", form)
    assert code == 2
    assert lines[-1].endswith(f"the package {package} is not installed; run: pip install 'vestibule[{form}]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_others_may_read_what_is_exported_as_the_umask_says(run, tiny_bundle, tmp_path, form):
    before = os.umask(0o027)
    try:
        code, _, _ = run("weights", "export", tiny_bundle, tmp_path / "out", "--to", form, "--arm", "oneshot")
    finally:
        os.umask(before)
    assert code == 0
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}


def test_a_new_folder_vanishes_where_its_block_fails(tmp_path):
    def fail_half_way():
        with new_folder(tmp_path / "a" / "b") as partial:
            (partial / "file").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert list((tmp_path / "a").iterdir()) == []


def _described(path):
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}
