"""A bundle is verified before it is loaded, is written whole or not at all, and never opens a pickle."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vestibule import weights
from vestibule.errors import InputError
from vestibule.weights import find_bundle, open_bundle, write_bundle

MANIFEST = {
    "name": "tiny",
    "created": "2024-01-01T00:00:00Z",
    "code_version": "0.1.0",
    "command": "vestibule train run",
    "seed": 0,
    "edition": 2022,
    "intended_use": "phantom",
    "notice": "phantom weights: for phantoms, not for patients",
    "arms": ["oneshot", "baseline"],
    "default_arm": "oneshot",
    "preprocessing": {"spacing_zyx": [1.5, 0.6, 0.6]},
    "networks": {"oneshot": {"channels": 8}},
    "scores": {"oneshot": {"vs": {"dice": 0.5}}},
    "provenance": {"external_data": False, "pretrained": False},
}


@pytest.fixture
def tiny(tmp_path):
    tensors = {"oneshot": {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(4)}}
    return write_bundle(tmp_path / "tiny", MANIFEST, tensors, {"plan": {"patch": [8, 8, 8]}}, {"README.md": "# Card\n"})


def change_manifest(bundle, **changes):
    path = bundle.path / "manifest.json"
    path.write_text(json.dumps({**bundle.manifest, **changes}))


def test_what_was_written_comes_back(tiny):
    again = open_bundle(tiny.path)
    assert again == tiny
    assert torch.equal(again.tensors("oneshot")["weight"], torch.arange(6.0).reshape(2, 3))
    assert again.tensors("oneshot")["steps"].shape == ()
    assert again.document("plan") == {"patch": [8, 8, 8]}
    assert (again.path / "README.md").read_text() == "# Card\n"
    assert sorted(again.manifest["files"]) == ["README.md", "oneshot.safetensors", "plan.json"]


def test_views_transposed_and_tied_tensors_are_stored_by_value(tmp_path):
    base = torch.arange(24.0).reshape(1, 2, 3, 4)
    stored = {"row": base[:, 0], "last": base.to(memory_format=torch.channels_last), "tied": base, "turned": base.mT}
    bundle = write_bundle(tmp_path / "b", MANIFEST, {"t": stored}, {}, {})
    assert all(torch.equal(bundle.tensors("t")[key], value) for key, value in stored.items())


def test_the_same_content_gives_the_same_hashes(tmp_path):
    tensors = {"t": {"b": torch.ones(3), "a": torch.zeros(2)}}
    first, second = (write_bundle(tmp_path / name, MANIFEST, tensors, {"d": {"x": 1}}, {}) for name in ("one", "two"))
    assert first.manifest["files"] == second.manifest["files"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_others_may_read_a_bundle_as_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        tensors = {"t": {"a": torch.zeros(2)}}
        bundle = write_bundle(tmp_path / "b", MANIFEST, tensors, {"d": {"x": 1}}, {"README.md": "# Card\n"})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in bundle.path.iterdir()}
    names = ("README.md", "d.json", "manifest.json", "t.safetensors")
    assert modes == dict.fromkeys(names, mode)


def test_arm_is_the_default_or_the_named_one_or_an_error(tiny):
    assert (tiny.arm(), tiny.arm("baseline")) == ("oneshot", "baseline")
    with pytest.raises(InputError, match=r"tiny: holds no arm 'blending', only oneshot, baseline"):
        tiny.arm("blending")


def test_broken_rules_are_named(tmp_path, tiny):
    assert tiny.broken_rules == []
    provenance = {"external_data": True, "pretrained": True}
    bundle = write_bundle(tmp_path / "b", {**MANIFEST, "provenance": provenance}, {}, {}, {})
    assert len(bundle.broken_rules) == 2


def flip_last_byte(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def link_outside(path):
    outside = path.parent.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_last_byte, r"oneshot\.safetensors: altered"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"oneshot\.safetensors: has \d+ bytes, .* says \d+"),
        (lambda path: path.unlink(), r"oneshot\.safetensors: listed in manifest\.json but missing"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
            r"oneshot\.safetensors: is a Git LFS pointer.*git lfs pull",
        ),
        (link_outside, r"oneshot\.safetensors: is a link out of the bundle"),
    ],
    ids=["altered", "truncated", "missing", "lfs-pointer", "link-outside"],
)
def test_damaged_file_is_refused_before_loading(tiny, damage, message):
    damage(tiny.path / "oneshot.safetensors")
    with pytest.raises(InputError, match=message):
        open_bundle(tiny.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema_version is 2, this vestibule reads 1"),
        ({"arms": []}, "must be one of arms"),
        ({"default_arm": "other"}, "'other' must be one of arms"),
        ({"edition": 2020}, r"edition must be one of \[2021, 2022, 2023\], got 2020"),
        ({"seed": "zero"}, "seed must be of type int, got 'zero'"),
        ({"seed": True}, "seed must be of type int, got True"),
        ({"notice": None}, "notice must be of type str"),
        ({"provenance": {"external_data": False}}, "provenance must say pretrained"),
        ({"files": {"../escape.json": {"sha256": "0" * 64, "bytes": 1}}}, r"lists '\.\./escape\.json', which is not"),
        ({"files": {"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, r"lists '/etc/passwd', which is not"),
        ({"files": {"a/../../b": {"sha256": "0" * 64, "bytes": 1}}}, r"which is not a plain file name"),
        ({"files": {"a.json": {"sha256": "no"}}}, r"a\.json must be listed with its sha256"),
    ],
)
def test_wrong_manifest_is_refused_by_name(tiny, changes, message):
    change_manifest(tiny, **changes)
    with pytest.raises(InputError, match=rf"manifest\.json: .*{message}"):
        open_bundle(tiny.path)


@pytest.mark.parametrize("key", [*MANIFEST, "files"])
def test_each_manifest_key_is_required(tiny, key):
    manifest = {name: value for name, value in tiny.manifest.items() if name != key}
    (tiny.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"manifest\.json: lacks {key};"):
        open_bundle(tiny.path)


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"], ids=["cut", "list", "not-utf8"])
def test_manifest_that_is_no_json_object_is_refused(tiny, content):
    (tiny.path / "manifest.json").write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=r"manifest\.json: (not valid JSON|expected a JSON object)"):
        open_bundle(tiny.path)


def test_missing_folder_file_and_folder_without_manifest_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name, message in (("gone", "no such folder"), ("file", "got a file"), ("", "manifest.json is missing")):
        with pytest.raises(InputError, match=message):
            open_bundle(tmp_path / name)


def test_file_that_is_not_listed_is_not_read(tiny):
    (tiny.path / "extra.json").write_text("{}")
    with pytest.raises(InputError, match=r"lists no file extra\.json, only README\.md, oneshot\.safetensors"):
        open_bundle(tiny.path).document("extra")


def test_pickle_called_safetensors_is_refused_and_not_opened(tiny, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pickle-was-opened"),)

    path = tiny.path / "oneshot.safetensors"
    path.write_bytes(pickle.dumps(Payload()))
    entry = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    change_manifest(tiny, files={**tiny.manifest["files"], path.name: entry})
    with pytest.raises(InputError, match=r"oneshot\.safetensors: not a safetensors file"):
        open_bundle(tiny.path).tensors("oneshot")
    assert not (tmp_path / "pickle-was-opened").exists()


def test_failed_write_leaves_the_older_bundle_and_no_leftovers(tiny):
    before = tiny.manifest
    with pytest.raises(ValueError, match=r"later\.json: cannot be stored as JSON"):
        write_bundle(tiny.path, MANIFEST, {}, {"fine": {}, "later": {"assd": float("nan")}}, {})
    assert open_bundle(tiny.path).manifest == before
    assert [path.name for path in tiny.path.parent.iterdir()] == ["tiny"]


def test_older_bundle_comes_back_where_the_new_one_cannot_take_its_place(tiny, monkeypatch):
    rename = Path.rename

    def refuse_the_new_one(self, target):
        if ".partial-" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(InputError, match=r"tiny: cannot be written \(No space left on device\)"):
        write_bundle(tiny.path, {**MANIFEST, "seed": 7}, {}, {}, {})
    assert open_bundle(tiny.path).manifest["seed"] == 0
    assert [path.name for path in tiny.path.parent.iterdir()] == ["tiny"]


def test_new_bundle_replaces_the_older_one_whole(tiny):
    bundle = write_bundle(tiny.path, {**MANIFEST, "seed": 7}, {}, {}, {"NEW.md": "new"})
    assert bundle.manifest["seed"] == 7
    assert sorted(path.name for path in tiny.path.iterdir()) == ["NEW.md", "manifest.json"]
    assert [path.name for path in tiny.path.parent.iterdir()] == ["tiny"]


def test_incomplete_manifest_and_odd_names_are_refused_on_writing(tmp_path):
    incomplete = {key: value for key, value in MANIFEST.items() if key != "command"}
    cases = [
        (incomplete, {}, "lacks command"),
        (MANIFEST, {"../x": ""}, "not a plain"),
        (MANIFEST, {".x": ""}, "plain"),
    ]
    for manifest, texts, message in cases:
        with pytest.raises(ValueError, match=message):
            write_bundle(tmp_path / "b", manifest, {}, {}, texts)
    with pytest.raises(ValueError, match=r"writes manifest\.json itself"):
        write_bundle(tmp_path / "b", MANIFEST, {}, {"manifest": {}}, {})
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_folder_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files that are not a bundle"):
        write_bundle(tmp_path, MANIFEST, {}, {}, {})
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty stand-ins for every place where a bundle is looked for."""
    monkeypatch.setattr(weights, "MODEL_MOUNT", tmp_path / "mount")
    monkeypatch.setattr("vestibule.installed.OWN_ROOT", tmp_path / "own")
    monkeypatch.delenv(weights.WEIGHTS_VARIABLE, raising=False)
    return tmp_path


def put_bundle(folder):
    write_bundle(folder, MANIFEST, {}, {}, {})
    return folder


def test_bundle_is_found_in_the_order_named_mounted_own(places, monkeypatch):
    phantom = put_bundle(places / "own/weights/phantom")
    assert find_bundle() == phantom
    own = put_bundle(places / "image/weights")
    assert find_bundle(root=places / "image") == own
    mounted = put_bundle(places / "mount")
    assert find_bundle(root=places / "image") == mounted
    monkeypatch.setenv(weights.WEIGHTS_VARIABLE, str(own))
    assert find_bundle() == own
    assert find_bundle(phantom) == phantom


def test_no_bundle_lists_where_it_looked(places):
    with pytest.raises(InputError, match=r"mount, .*own/weights, .*own/weights/phantom, .*; name one with --weights"):
        find_bundle()


def test_named_but_missing_bundle_is_not_replaced_by_another(places, monkeypatch):
    put_bundle(places / "own/weights/phantom")
    monkeypatch.setenv(weights.WEIGHTS_VARIABLE, str(places / "gone"))
    with pytest.raises(InputError, match=r"gone: \$VESTIBULE_WEIGHTS names it"):
        find_bundle()


def test_mounted_model_without_manifest_is_not_replaced_by_another(places):
    put_bundle(places / "own/weights/phantom")
    (places / "mount").mkdir()
    assert find_bundle() == places / "own/weights/phantom"
    (places / "mount" / "model.pt").write_text("")
    with pytest.raises(InputError, match=r"mount: holds files but no manifest\.json"):
        find_bundle()


def test_opening_a_bundle_imports_no_torch(tiny):
    code = (
        f"import sys; from vestibule.weights import open_bundle; open_bundle({str(tiny.path)!r}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
