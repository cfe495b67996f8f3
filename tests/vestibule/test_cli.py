"""The commands as a user runs them, with the real pipeline on a bundle of random weights."""

import json
import pickle
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from vestibule.volume import Geometry, Volume, read_volume, write_volume

OBLIQUE = (0.0, -0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
pickles_are_forbidden = False


def refuse_pickles(event, arguments):
    if pickles_are_forbidden and event == "pickle.find_class":
        raise RuntimeError(f"a pickle was opened: {arguments}")


@pytest.fixture(scope="module", autouse=True)
def audit():
    sys.addaudithook(refuse_pickles)


def scan(seed=0, direction=OBLIQUE):
    """Noise in the shape of a small head scan, with anisotropic voxels."""
    voxels = np.random.default_rng(seed).integers(0, 900, (6, 30, 28)).astype(np.int16)
    return Volume(voxels, Geometry((6, 30, 28), (3.0, 1.5, 1.4), (10.0, -20.5, 7.0), direction))


@pytest.fixture
def cases(tmp_path):
    """A folder of two good cases."""
    for seed, name in enumerate("ab"):
        write_volume(tmp_path / "in" / f"{name}_hrT2.nii.gz", scan(seed))
    return tmp_path / "in"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_is_segmented_with_exact_geometry_and_the_notice(run, cases, tiny_bundle, tmp_path):
    write_volume(cases / "a_ceT1.nii.gz", scan())
    code, out, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--device", "cpu")
    assert code == 0
    assert names_in(tmp_path / "out") == ["a_Label.nii.gz", "b_Label.nii.gz"]
    for name in "ab":
        image, mask = (
            nibabel.load(path) for path in (cases / f"{name}_hrT2.nii.gz", tmp_path / f"out/{name}_Label.nii.gz")
        )
        assert np.array_equal(mask.affine, image.affine)
        assert mask.shape == image.shape
        assert mask.get_data_dtype() == np.uint8
        assert set(np.unique(mask.dataobj)) <= {0, 1, 2}
    assert "notice: tiny weights: for tests alone" in err
    assert "2 masks written" in out
    assert "1 other files passed over" in out


def test_no_pickle_is_opened_by_a_prediction(run, cases, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "pickles_are_forbidden", True)
    with pytest.raises(RuntimeError, match="a pickle was opened"):
        pickle.loads(pickle.dumps(tmp_path))
    code, _, _ = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle)
    monkeypatch.undo()
    assert code == 0
    assert len(names_in(tmp_path / "out")) == 2


def test_doubtful_masks_are_counted_and_fail_only_on_request(run, cases, tiny_bundle, tmp_path):
    (cases / "b_hrT2.nii.gz").write_text("no image")
    (cases / "b_ceT1.nii.gz").write_text("")
    found = tmp_path / "found.json"
    arguments = ("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--json", found)
    code, out, err = run(*arguments)
    assert code == 1
    assert "1 mask written" in out
    assert "1 of which may be wrong" in out
    assert (
        sum(line.startswith(f"warning: {cases}/a_hrT2.nii.gz: its mask may be wrong: the image") for line in err) == 1
    )
    document = json.loads(found.read_text())
    first, second = document["cases"]
    assert (document["edition"], first["mask"], first["failure"]) == (2022, str(tmp_path / "out/a_Label.nii.gz"), None)
    assert "looks like noise" in first["warnings"][0]
    assert (second["mask"], second["warnings"]) == (None, [])
    assert "damaged" in second["failure"]
    assert document["passed_over"] == [str(cases / "b_ceT1.nii.gz")]

    (cases / "b_hrT2.nii.gz").unlink()
    mask = (tmp_path / "out" / "a_Label.nii.gz").read_bytes()
    assert run(*arguments[:-2])[0] == 0
    code, out, err = run(*arguments[:-1], "--strict")
    assert code == 1
    assert json.loads(out)["cases"][0]["warnings"]
    assert err[-1].startswith(
        f"vestibule: error: 1 of 1 masks may be wrong; the first, {tmp_path}/out/a_Label.nii.gz: "
    )
    assert (tmp_path / "out" / "a_Label.nii.gz").read_bytes() == mask


def test_two_runs_and_both_ways_to_name_weights_give_the_same_bytes(run, cases, tiny_bundle, tmp_path, monkeypatch):
    run("predict", cases, tmp_path / "one", "--weights", tiny_bundle)
    monkeypatch.setenv("VESTIBULE_WEIGHTS", str(tiny_bundle))
    run("predict", cases, tmp_path / "two", "--arm", "oneshot")
    for name in ("a_Label.nii.gz", "b_Label.nii.gz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha"])
def test_one_flipped_file_is_segmented_in_its_place(run, tiny_bundle, tmp_path, suffix):
    flipped = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    write_volume(tmp_path / f"scan{suffix}", scan(direction=flipped))
    code, out, _ = run("predict", tmp_path / f"scan{suffix}", tmp_path / "out", "--weights", tiny_bundle)
    assert code == 0
    assert "1 mask written" in out
    image, mask = read_volume(tmp_path / f"scan{suffix}"), read_volume(tmp_path / "out" / "scan_Label.nii.gz")
    assert mask.geometry.describes(image.geometry, tolerance_mm=1e-5)


def test_mask_lies_where_the_same_patient_lies_in_another_orientation(run, tiny_bundle, tmp_path):
    volume = scan(direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    last_xyz = volume.geometry.to_patient(np.array([27, 29, 0]))
    turned_geometry = Geometry(
        (6, 30, 28), (3.0, 1.5, 1.4), tuple(last_xyz), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    )
    write_volume(tmp_path / "in" / "straight.mha", volume)
    write_volume(tmp_path / "in" / "turned.mha", Volume(volume.voxels[:, ::-1, ::-1].copy(), turned_geometry))
    run("predict", tmp_path / "in", tmp_path / "out", "--weights", tiny_bundle)
    straight, turned = (
        read_volume(tmp_path / "out" / f"{name}_Label.nii.gz").voxels for name in ("straight", "turned")
    )
    assert straight.any()
    assert np.mean(straight != turned[:, ::-1, ::-1]) < 0.001


def save(path, data, affine=None):
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)


def save_zero_spacing(path):
    image = sitk.GetImageFromArray(scan().voxels)
    sitk.WriteImage(image, str(path.with_name("bad_hrT2.mha")))
    content = path.with_name("bad_hrT2.mha").read_bytes()
    path.with_name("bad_hrT2.mha").write_bytes(content.replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 0"))


def save_truncated(path):
    write_volume(path, scan())
    path.write_bytes(path.read_bytes()[:-500])


def save_nan(path):
    voxels = scan().voxels.astype(np.float32)
    voxels[1, 1, 1] = np.nan
    write_volume(path, scan().with_voxels(voxels))


VOXELS = np.random.default_rng(0).integers(0, 900, (28, 30, 6)).astype(np.int16)
SHEARED = np.array([[1.0, 0.4, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
BAD_IMAGES = {
    "not an image": (lambda path: path.write_text("no image"), "damaged or truncated gzip"),
    "2-D": (lambda path: save(path, VOXELS[..., 0]), "expected a 3-D image, got 2-D"),
    "4-D": (lambda path: save(path, VOXELS.reshape(28, 30, 3, 2)), "expected a 3-D image, got 4-D"),
    "truncated gzip": (save_truncated, "truncated gzip"),
    "NaN": (save_nan, "1 voxels are NaN or infinite"),
    "constant": (lambda path: save(path, np.full((9, 9, 9), 7, np.int16)), "every voxel is 7"),
    "spacing 0": (save_zero_spacing, "spacing must be positive"),
    "sheared": (lambda path: save(path, VOXELS, SHEARED), "sheared"),
    "RGB": (lambda path: save(path, np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "one value a voxel"),
}


@pytest.mark.parametrize(("make", "cause"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_image_is_named_on_the_last_line_and_costs_no_other_its_mask(
    run, cases, tiny_bundle, tmp_path, make, cause
):
    make(cases / "bad_hrT2.nii.gz")
    code, out, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle)
    assert code == 1
    assert err[-1].startswith("vestibule: error: 1 of 3 images have no mask: ")
    assert str(cases / "bad_hrT2.") in err[-1]
    assert cause in err[-1]
    assert names_in(tmp_path / "out") == ["a_Label.nii.gz", "b_Label.nii.gz"]
    assert "2 masks written" in out


def test_several_bad_images_are_counted_and_each_has_its_line(run, cases, tiny_bundle, tmp_path):
    for name in ("x", "y"):
        (cases / f"{name}_hrT2.nii.gz").write_text("no image")
    write_volume(cases / "a_hrT2.mha", scan())
    code, _, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle)
    assert code == 1
    assert sum(line.startswith("no mask: ") for line in err) == 3
    assert "3 of 4 images have no mask; the first: " in err[-1]
    assert names_in(tmp_path / "out") == ["b_Label.nii.gz"]


def test_existing_masks_are_kept_on_request_and_else_replaced(run, cases, tiny_bundle, tmp_path):
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "a_Label.nii.gz"
    mine.write_text("mine")
    code, out, _ = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--skip-existing")
    assert (code, mine.read_text()) == (0, "mine")
    assert "1 mask written" in out
    assert "1 already there" in out
    run("predict", cases, tmp_path / "out", "--weights", tiny_bundle)
    assert read_volume(mine).voxels.shape == (6, 30, 28)


def test_case_names_follow_the_edition(run, cases, tiny_bundle, tmp_path):
    code, _, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--edition", "2023")
    assert code == 1
    assert "mean something else in edition 2023" in err[-1]
    code, _, _ = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--edition", "2021")
    assert (code, names_in(tmp_path / "out")) == (0, ["a_Label.nii.gz", "b_Label.nii.gz"])


@pytest.mark.parametrize(
    "networks", [{}, {"oneshot": {}}, {"oneshot": {"translator": {"generator": {"depth": 3}, "tensors": "translator"}}}]
)
def test_bundle_whose_parts_do_not_fit_is_told_in_one_line(run, cases, tiny_bundle, tmp_path, networks):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "networks": networks}))
    code, _, err = run("predict", cases, tmp_path / "out", "--weights", bundle)
    assert code == 1
    assert f"{bundle}: whole, but its networks and tensors do not fit each other" in err[-1]


def alter(bundle):
    path = bundle / "translator.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (alter, "translator.safetensors: altered"),
        (
            lambda bundle: (bundle / "segmenter.safetensors").unlink(),
            "segmenter.safetensors: listed in manifest.json but missing",
        ),
        (shutil.rmtree, "no such folder of weights"),
    ],
    ids=["altered", "file missing", "missing"],
)
def test_bad_weights_end_the_run_before_it_starts(run, cases, tiny_bundle, tmp_path, damage, cause):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    damage(bundle)
    for command in (("predict", cases, tmp_path / "out", "--weights", bundle), ("weights", "verify", bundle)):
        code, _, err = run(*command)
        assert code == 1
        assert cause in err[-1]
        assert str(bundle) in err[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (("predict", "in/gone", "out"), 1, "in/gone: no such file or folder"),
        (("predict", "empty", "out"), 1, "empty: the folder holds no image"),
        (("predict", "in", "in/a_hrT2.nii.gz"), 1, "in/a_hrT2.nii.gz: is a file; OUTPUT must be a folder"),
        (("predict", "in", "out", "--arm", "other"), 1, "holds no arm 'other', only baseline, oneshot"),
        (("predict", "in", "out", "--edition", "1999"), 2, "Invalid value for '--edition'"),
        (("predict", "in"), 2, "Missing argument 'OUTPUT'"),
        (("predict", "in", "out", "--weight"), 2, "No such option"),
        (("phantasm",), 2, "No such command 'phantasm'"),
    ],
)
def test_wrong_use_is_told_in_one_last_line(run, cases, tiny_bundle, tmp_path, monkeypatch, arguments, code, cause):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VESTIBULE_WEIGHTS", str(tiny_bundle))
    got, _, err = run(*arguments)
    assert got == code
    assert cause in err[-1]
    assert names_in(cases) == ["a_hrT2.nii.gz", "b_hrT2.nii.gz"]


def test_missing_gpu_is_told_where_one_is_asked_for(run, cases, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle, "--device", "cuda")
    assert code == 1
    assert "no CUDA device found" in err[-1]
    code, _, err = run("predict", cases, tmp_path / "out", "--weights", tiny_bundle)
    assert code == 0
    assert any("on cpu (no GPU found)" in line for line in err)


def test_unreadable_folder_is_refused(cases, repository):
    cases.chmod(0)
    code = (
        "import os; from pathlib import Path; from vestibule.inputs import *; from vestibule.editions import EDITIONS\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        f"find_cases(Path({str(cases)!r}), Path('out'), EDITIONS[2022])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    cases.chmod(0o755)
    assert finished.stderr.splitlines()[-1].endswith(f"InputError: {cases}: cannot be read (Permission denied)")


def test_show_tells_what_weights_are_for_and_where_they_come_from(run, tiny_bundle):
    code, out, _ = run("weights", "show", tiny_bundle)
    told = " ".join(out.replace("│", " ").split())
    assert code == 0
    for words in ("intended use", "tiny weights: for tests alone", "oneshot (default)", "kept: no data from outside"):
        assert words in told


def test_show_names_broken_rules_and_scores(run, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["provenance"] |= {"external_data": True, "training_data": "phantoms", "config": {"epochs": 7}}
    manifest["scores"] = {"oneshot": {"vs": {"dice": {"mean": 0.61234}}}}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    _, out, _ = run("weights", "show", bundle)
    told = " ".join(out.replace("│", " ").split())
    assert "broken: trained on data from outside the challenge" in told
    assert "training_data: phantoms" in told
    assert "epochs" not in told
    assert "oneshot vs dice mean" in told
    assert "0.612" in told


def test_verify_counts_what_it_checked_and_names_what_it_did_not(run, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / "stray.pth").write_text("")
    code, out, _ = run("weights", "verify", bundle)
    assert code == 0
    assert "whole, 5 files" in out
    assert "never read: stray.pth" in out
    _, out, _ = run("weights", "verify", bundle, "--json")
    assert json.loads(out)["not_in_manifest"] == ["stray.pth"]
    _, out, _ = run("weights", "show", bundle, "--json")
    assert json.loads(out)["default_arm"] == "oneshot"
