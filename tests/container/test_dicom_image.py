"""The image that `./build.sh --dicom` makes: image sets of the platform, masks written as DICOM, and what it adds."""

import json
import os
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from contract.dicom_set import write_dicom_job
from contract.sandbox import READ_ONLY, STRICT
from tests.container.own_image import COMPILED_ANEW, cases, in_image, passed_points, run_image, size_of
from tests.vestibule.dicom.test_results import assert_dcmqi_reads
from tests.vestibule.dicom.writer import write_enhanced, write_series
from vestibule.volume import read_labels, read_volume

pytestmark = pytest.mark.container

IMAGE = "localhost/vestibule:dicom"
MAX_ADDED_BYTES = 50_000_000
PATIENTS = ("compressed", "enhanced", "plain")


@pytest.fixture(scope="module")
def dicom_image(engine, image, base, bundle, repository) -> str:
    """The image for the CPU with DICOM; all but a layer of packages is that of the image without."""
    command = ["./build.sh", "--cpu", "--base", base, "--weights", str(bundle), "--dicom", "--tag", IMAGE]
    built = subprocess.run(command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return IMAGE


@pytest.fixture
def scans(repository, tmp_path):
    """A folder of the kept phantom as three patients: a file a slice, the same compressed, and all in one file."""
    kept = repository / "tests" / "container" / "case" / "input"
    (path,) = kept.rglob("*.mha")
    phantom = read_volume(path)
    folder = tmp_path / "scans"
    for patient in ("compressed", "plain"):
        write_series(folder / patient / "t2", phantom, PatientID=patient)
    for slice_path in (folder / "compressed").rglob("*.dcm"):
        dataset = pydicom.dcmread(slice_path)
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        dataset.save_as(slice_path)
    write_enhanced(folder / "enhanced" / "t2.dcm", phantom, PatientID="enhanced")
    return folder


def test_every_point_of_the_contract_is_green_with_image_sets(engine, dicom_image, repository):
    passed = passed_points(engine, dicom_image, repository, "--edition", "2021", "--contract", "platform", "--dicom")
    assert {"invoke: second case", "platform: one image", "platform: geometry", "linked input"} <= passed


def test_masks_of_series_are_those_of_a_prediction_outside_and_read_back_as_dicom(
    engine, dicom_image, bundle, repository, scans, tmp_path
):
    output, outside = tmp_path / "output", tmp_path / "outside"
    output.mkdir()
    output.chmod(0o777)
    mounts = ("--volume", f"{scans}:/input:ro", "--volume", f"{output}:/output")
    # Threads that wait for each other on a busy machine would take minutes.
    one_thread = {"OMP_NUM_THREADS": "1"}
    flags = ("--rm", *STRICT, *READ_ONLY, *mounts, "--env", "OMP_NUM_THREADS=1", "--entrypoint", "python3")
    predict = ("-m", "vestibule", "predict")
    write = ("--write", "dicom-seg")
    result = engine("run", *flags, dicom_image, *predict, "/input", "/output", *write, check=False)
    assert result.returncode == 0, result.stderr
    command = [sys.executable, *predict, str(scans), str(outside), "--weights", str(bundle), *write]
    subprocess.run(command, cwd=repository, env=os.environ | one_thread, check=True, capture_output=True)

    written = sorted(path.relative_to(output) for path in output.rglob("*") if path.is_file())
    assert written == sorted(path.relative_to(outside) for path in outside.rglob("*") if path.is_file())
    for patient in PATIENTS:
        name = f"{patient}_Label.nii.gz"
        mask = read_labels(output / name)
        assert {1, 2} <= set(np.unique(mask.voxels))
        np.testing.assert_array_equal(mask.voxels, read_labels(outside / name).voxels)
        assert_dcmqi_reads(output / f"{patient}_Label_SEG.dcm", mask.voxels, mask.geometry, tmp_path / patient)
    compressed, _, plain = [read_labels(output / f"{patient}_Label.nii.gz").voxels for patient in PATIENTS]
    np.testing.assert_array_equal(compressed, plain)


def test_the_image_without_dicom_tells_how_it_is_built_with_it(engine, image, tmp_path):
    job = write_dicom_job(cases()[0], tmp_path / "job")
    run, output = run_image(engine, image, job, tmp_path, "--env", "VESTIBULE_API=exec")
    assert run.exit_code == 1
    assert "build the image with ./build.sh --dicom" in run.last_line
    assert list(output.rglob("*.mha")) == []


def test_it_adds_what_dicom_imports_in_a_layer_of_its_own_and_little_more(
    engine, image, dicom_image, repository, capsys
):
    code = """
import json, sys
sys.argv[1:] = ["--help"]
import process, vestibule.pipeline, vestibule.commands.predict, vestibule.dicom.conversion, rich.progress
import importlib.metadata as metadata
owners = metadata.packages_distributions()
imported = {owner.lower() for name in sys.modules for owner in owners.get(name, [])}
installed = {item.name.lower().replace("_", "-") for item in metadata.distributions()}
print(json.dumps([sorted(installed), sorted(imported)]))
"""
    listed, compiled_anew = in_image(engine, dicom_image, code + COMPILED_ANEW).splitlines()
    installed, imported = json.loads(listed)
    locked = (repository / "requirements" / "inference.txt").read_text().splitlines()[1:]
    without_dicom = {"torch"} | {line.partition("==")[0] for line in locked}
    added = {"contourpy", "highdicom", "pydicom", "pyjpegls", "rich"}
    assert set(installed) == without_dicom | added
    assert added <= set(imported)
    assert compiled_anew == "[]"

    bytes_added = size_of(engine, dicom_image) - size_of(engine, image)
    with capsys.disabled():
        print(f"\nDICOM adds {bytes_added / 1e6:.1f} MB")
    assert bytes_added <= MAX_ADDED_BYTES
