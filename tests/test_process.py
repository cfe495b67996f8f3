"""The submission's entry under both contracts: layouts in, one mask a case out, and how failures are told."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from contract.cases import GeneratedCase
from contract.compare import differences
from contract.dicom_set import write_dicom_job
from vestibule.cli import main
from vestibule.editions import EDITIONS
from vestibule.inputs import Case
from vestibule.volume import Geometry, Volume, read_volume, to_image, write_volume

OBLIQUE = (0.0, -0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def process(repository):
    """The top-level process.py as a module."""
    spec = importlib.util.spec_from_file_location("process", repository / "process.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(process, tiny_bundle, monkeypatch, capfd):
    """Run process.py in this process with the tiny bundle: exit code and the lines of stderr."""
    monkeypatch.setenv("VESTIBULE_WEIGHTS", str(tiny_bundle))

    def run_process(*arguments):
        monkeypatch.setattr(sys, "argv", ["process.py", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main(process.process)
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, [line for line in captured.err.splitlines() if line.strip()]

    return run_process


def scan(direction=OBLIQUE):
    voxels = np.random.default_rng(0).integers(0, 900, (6, 30, 28)).astype(np.int16)
    return Volume(voxels, Geometry((6, 30, 28), (3.0, 1.5, 1.4), (10.0, -20.5, 7.0), direction))


def platform_job(folder, direction=OBLIQUE, name="0a1b.mha"):
    write_volume(folder / "images" / "t2-mri" / name, scan(direction))
    return folder


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def geometry_in_itk(path):
    image = sitk.ReadImage(str(path))
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


@pytest.mark.parametrize("direction", [OBLIQUE, FLIPPED], ids=["oblique", "flipped"])
@pytest.mark.parametrize("key", ["socket", "interface", None])
def test_platform_job_gives_one_mha_on_the_grid_of_its_image_and_results(run, tmp_path, key, direction):
    job = platform_job(tmp_path / "input", direction)
    if key:
        item = {key: {"slug": "t2", "super_kind": "Image", "relative_path": "images/t2-mri"}}
        (job / "inputs.json").write_text(json.dumps([item]))
    code, err = run("--input", job, "--output", tmp_path / "output")
    assert code == 0, err
    assert files_in(tmp_path / "output") == ["images/generic-overlay/0a1b.mha", "results.json"]
    mask_path = tmp_path / "output" / "images" / "generic-overlay" / "0a1b.mha"
    assert geometry_in_itk(mask_path) == geometry_in_itk(job / "images" / "t2-mri" / "0a1b.mha")
    mask = sitk.ReadImage(str(mask_path))
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(mask))) <= {0, 1, 2}
    (result,) = json.loads((tmp_path / "output" / "results.json").read_text())
    # Noise is no head, which is told and costs no mask.
    warnings = result.pop("warnings")
    assert "the image looks like noise" in warnings[0]
    assert any(line.endswith(f"its mask may be wrong: {'; '.join(warnings)}") for line in err)
    assert result == {
        "outputs": [{"type": "metaio_image", "filename": "images/generic-overlay/0a1b.mha"}],
        "inputs": [{"type": "metaio_image", "filename": "0a1b.mha"}],
        "error_messages": [],
    }


@pytest.mark.parametrize("name", ["0a1b.nii.gz", "0a1b.nii"])
def test_platform_job_with_a_nifti_image_gives_mha_too(run, tmp_path, name):
    job = platform_job(tmp_path / "input", name=name)
    code, _ = run("--input", job, "--output", tmp_path / "output", "--output-slug", "masks")
    assert code == 0
    mask = read_volume(tmp_path / "output" / "images" / "masks" / "0a1b.mha")
    assert mask.geometry == read_volume(job / "images" / "t2-mri" / name).geometry


def dicom_case():
    voxels = np.random.default_rng(0).integers(0, 900, (6, 30, 28)).astype(np.float32)
    return GeneratedCase("case", "oblique", Volume(voxels, scan(OBLIQUE).geometry))


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_platform_job_with_a_dicom_image_set_gives_one_mha_on_its_grid(run, tmp_path, key):
    job = write_dicom_job(dicom_case(), tmp_path / "input", key)
    code, err = run("--input", job, "--output", tmp_path / "output")
    assert code == 0, err
    assert files_in(tmp_path / "output") == ["images/generic-overlay/head-mri.mha", "results.json"]
    mask = read_volume(tmp_path / "output" / "images" / "generic-overlay" / "head-mri.mha")
    assert mask.geometry.describes(dicom_case().volume.geometry, 1e-4)


def test_the_weights_of_the_repository_give_the_mask_that_is_kept(run, repository, tmp_path):
    kept, output = repository / "tests" / "container" / "case", tmp_path / "output"
    code, err = run("--input", kept / "input", "--output", output, "--weights", repository / "weights" / "phantom")
    assert code == 0, err
    # A few voxels of a border may be another's on another processor.
    differing = differences(kept / "expected", output, allow_voxels=10)
    assert differing == [], "after a change of the weights: ./test.sh --outside --update"


def test_linked_read_only_input_and_paths_from_the_environment(run, tmp_path, monkeypatch):
    platform_job(tmp_path / "real")
    (tmp_path / "input").symlink_to(tmp_path / "real")
    before = files_in(tmp_path / "real")
    monkeypatch.setenv("VESTIBULE_INPUT", str(tmp_path / "input"))
    monkeypatch.setenv("VESTIBULE_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("VESTIBULE_OUTPUT_SLUG", "masks")
    code, _ = run()
    assert code == 0
    assert files_in(tmp_path / "output") == ["images/masks/0a1b.mha", "results.json"]
    assert files_in(tmp_path / "real") == before


@pytest.mark.parametrize(
    ("year", "image", "mask"),
    [
        (None, "crossmoda2022_ldn_1_hrT2.nii.gz", "crossmoda2022_ldn_1_Label.nii.gz"),
        ("2021", "crossmoda_1_hrT2.nii.gz", "crossmoda_1_Label.nii.gz"),
        ("2022", "crossmoda2022_etz_1_hrT2.nii", "crossmoda2022_etz_1_Label.nii.gz"),
    ],
)
def test_flat_folder_gives_masks_alone(run, tmp_path, monkeypatch, year, image, mask):
    write_volume(tmp_path / "input" / image, scan())
    write_volume(tmp_path / "input" / "crossmoda_9_ceT1.nii.gz", scan())
    if year:
        monkeypatch.setenv("VESTIBULE_EDITION", year)
    code, _ = run("--input", tmp_path / "input", "--output", tmp_path / "output")
    assert code == 0
    assert files_in(tmp_path / "output") == [mask]
    assert geometry_in_itk(tmp_path / "output" / mask) == geometry_in_itk(tmp_path / "input" / image)


def test_flat_folder_of_2023_with_a_bundle_of_2023(run, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "edition": 2023}))
    write_volume(tmp_path / "input" / "crossmoda2023_ukm_1_T2.nii.gz", scan())
    code, _ = run("--input", tmp_path / "input", "--output", tmp_path / "output", "--weights", bundle)
    assert code == 0
    assert files_in(tmp_path / "output") == ["crossmoda2023_ukm_1.nii.gz"]


def test_bad_case_of_a_flat_folder_costs_no_other_and_is_named_last(run, tmp_path):
    for name in "abc":
        write_volume(tmp_path / "input" / f"{name}_hrT2.nii.gz", scan())
    (tmp_path / "input" / "b_hrT2.nii.gz").write_text("no image")
    code, err = run("--input", tmp_path / "input", "--output", tmp_path / "output")
    assert code == 1
    assert f"1 of 3 images have no mask: {tmp_path}/input/b_hrT2.nii.gz: damaged" in err[-1]
    assert files_in(tmp_path / "output") == ["a_Label.nii.gz", "c_Label.nii.gz"]


def test_two_images_of_a_flat_folder_for_one_mask_are_named_and_cost_no_other(run, tmp_path):
    for name in ("a_hrT2.nii.gz", "a_hrT2.nii", "b_hrT2.nii.gz"):
        write_volume(tmp_path / "input" / name, scan())
    code, err = run("--input", tmp_path / "input", "--output", tmp_path / "output")
    assert code == 1
    assert "a_hrT2.nii and a_hrT2.nii.gz: their masks would both be called a_Label.nii.gz" in err[-1]
    assert files_in(tmp_path / "output") == ["b_Label.nii.gz"]


def second_image(job):
    write_volume(job / "images" / "t2-mri" / "other.mha", scan())


def no_image(job):
    (job / "images" / "t2-mri" / "0a1b.mha").unlink()


def truncated_image(job):
    path = job / "images" / "t2-mri" / "0a1b.mha"
    path.write_bytes(path.read_bytes()[:-300])


def constant_image(job):
    write_volume(job / "images" / "t2-mri" / "0a1b.mha", scan().with_voxels(np.zeros((6, 30, 28), np.int16)))


def broken_listing(job):
    (job / "inputs.json").write_text("[")


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (second_image, "images/t2-mri: expected exactly one image, found 2 files (0a1b.mha, other.mha)"),
        (no_image, "images/t2-mri: expected exactly one image, found 0 files"),
        (truncated_image, "0a1b.mha: truncated, its packed voxels end early"),
        (constant_image, "0a1b.mha: every voxel is 0"),
        (broken_listing, "inputs.json: not a list of items"),
        (shutil.rmtree, "input: no such file or folder"),
    ],
)
def test_bad_platform_job_fails_with_file_and_cause_on_the_last_line(run, tmp_path, damage, cause):
    job = platform_job(tmp_path / "input")
    damage(job)
    code, err = run("--input", job, "--output", tmp_path / "output")
    assert code == 1
    assert err[-1].startswith(f"vestibule: error: {tmp_path}")
    assert cause in err[-1]
    assert not list((tmp_path / "output").rglob("*.mha"))


def test_failed_platform_job_still_leaves_valid_results(run, tmp_path):
    job = platform_job(tmp_path / "input")
    truncated_image(job)
    run("--input", job, "--output", tmp_path / "output")
    results = json.loads((tmp_path / "output" / "results.json").read_text())
    assert results[0]["outputs"] == []
    assert "0a1b.mha: truncated" in results[0]["error_messages"][0]


def test_notice_and_device_are_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, err = run("--input", platform_job(tmp_path / "input"), "--output", tmp_path / "output")
    assert code == 0
    assert "notice: tiny weights: for tests alone" in err
    assert any("on cpu (no GPU found)" in line for line in err)


def test_required_gpu_that_is_missing_is_an_error(run, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for flag, variable in ((("--require-gpu",), ""), ((), "1")):
        monkeypatch.setenv("VESTIBULE_REQUIRE_GPU", variable)
        code, err = run("--input", platform_job(tmp_path / "input"), "--output", tmp_path / "output", *flag)
        assert code == 1
        assert "no CUDA device found" in err[-1]
    assert files_in(tmp_path / "output") == []


def test_missing_weights_list_where_they_were_looked_for(process, run, tmp_path, monkeypatch):
    monkeypatch.delenv("VESTIBULE_WEIGHTS")
    monkeypatch.setattr(process, "__file__", str(tmp_path / "image" / "process.py"))
    monkeypatch.setattr("vestibule.weights.MODEL_MOUNT", tmp_path / "mount")
    monkeypatch.setattr("vestibule.installed.OWN_ROOT", tmp_path / "own")
    code, err = run("--input", platform_job(tmp_path / "input"), "--output", tmp_path / "output")
    assert code == 1
    assert err[-1].startswith("vestibule: error: no bundle of weights")
    assert all(str(tmp_path / place) in err[-1] for place in ("mount", "image/weights", "own/weights/phantom"))


@pytest.fixture
def head_bundle(tiny_bundle, tmp_path):
    """The tiny bundle with the region of interest around the ears, which noise has not got."""
    bundle = shutil.copytree(tiny_bundle, tmp_path / "head-bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["preprocessing"]["centre"] = "head"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def test_warning_about_the_region_names_the_file(run, head_bundle, tmp_path, caplog):
    job = platform_job(tmp_path / "input")
    code, _ = run("--input", job, "--output", tmp_path / "output", "--weights", head_bundle)
    assert code == 0
    warnings = [record.getMessage() for record in caplog.records if record.name == "vestibule.preprocessing"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{job}/images/t2-mri/0a1b.mha: no outline of a head seen")


def test_container_and_command_give_the_same_bytes(run, head_bundle, tmp_path, monkeypatch):
    for number, direction in enumerate((OBLIQUE, FLIPPED)):
        write_volume(tmp_path / "input" / f"{number}_hrT2.nii.gz", scan(direction))
    code, _ = run("--input", tmp_path / "input", "--output", tmp_path / "container", "--weights", head_bundle)
    assert code == 0
    command = ["vestibule", "predict", tmp_path / "input", tmp_path / "command", "--weights", head_bundle]
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    main()
    for name in ("0_Label.nii.gz", "1_Label.nii.gz"):
        assert (tmp_path / "container" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()


def test_model_gets_the_volume_that_was_read(process, tmp_path):
    seen = []

    class Recorder:
        def run(self, volume):
            seen.append(volume)
            return volume.with_voxels(np.zeros(volume.voxels.shape, dtype=np.uint8))

    write_volume(tmp_path / "a.mha", scan())
    case = Case("a", tmp_path / "a.mha", tmp_path / "out" / "a.mha")
    process.Submission(Recorder(), (case,), EDITIONS[2022], tmp_path / "out", results=False).process()
    assert [volume.name for volume in seen] == [str(tmp_path / "a.mha")]
    assert np.array_equal(seen[0].voxels, scan().voxels)


def test_evalutils_own_way_in_gives_the_same_mask(process, tmp_path):
    class Bright:
        def run(self, volume):
            return volume.with_voxels((volume.voxels > 450).astype(np.uint8))

    submission = process.Submission(Bright(), (), EDITIONS[2022], tmp_path, results=False)
    mask = submission.predict(input_image=to_image(scan()))
    assert np.array_equal(sitk.GetArrayFromImage(mask), scan().voxels > 450)


def test_identical_masks_and_broken_files_do_not_stop_evalutils(process, tmp_path):
    class Blind:
        def run(self, volume):
            return volume.with_voxels(np.zeros_like(volume.voxels, dtype=np.uint8))

    cases = []
    for name in "abc":
        write_volume(tmp_path / f"{name}.mha", scan())
        cases.append(Case(name, tmp_path / f"{name}.mha", tmp_path / "out" / f"{name}.mha"))
    (tmp_path / "b.mha").write_text("no image")
    submission = process.Submission(Blind(), tuple(cases), EDITIONS[2022], tmp_path / "out", results=True)
    submission.process()
    assert [case.name for case in submission.outcome.written] == ["a", "c"]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [bool(result["error_messages"]) for result in results] == [False, True, False]


def test_results_that_cannot_be_written_are_an_error(process, tmp_path):
    (tmp_path / "file").write_text("no folder")
    submission = process.Submission(None, (), EDITIONS[2022], tmp_path / "file", results=True)
    with pytest.raises(ValueError, match=r"results\.json: cannot be written"):
        submission.save()
    (tmp_path / "file").unlink()
    submission.save()
    assert json.loads((tmp_path / "file" / "results.json").read_text()) == []


def test_script_runs_from_another_folder_and_ends_with_its_exit_code(repository, tmp_path):
    environment = {**os.environ, "VESTIBULE_WEIGHTS": str(tmp_path / "none")}
    finished = subprocess.run(
        [sys.executable, str(repository / "process.py"), "--input", str(tmp_path), "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith(f"vestibule: error: {tmp_path}/none: ")
