"""A job of the platform that brings a DICOM image set: one mask on its grid, or the cause and the file."""

import sys

import numpy as np
import pydicom
import pytest

from contract.cases import GeneratedCase, generate_cases
from contract.dicom_set import write_dicom_job, write_set
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.inputs import find_platform_case
from vestibule.predict import predict_case
from vestibule.volume import read_volume, write_volume

EDITION = get_edition(2022)


def case() -> GeneratedCase:
    """An oblique one of 8 slices."""
    return generate_cases(EDITION, np.random.default_rng(0), size_yx=40, slices=8)[2]


def segmented(job, output):
    """Segment a job by brightness; the place of its mask."""
    found = find_platform_case(job, output, "masks")
    predict_case(lambda volume: volume.with_voxels((volume.voxels > 500).astype(np.uint8)), found, EDITION)
    return found.mask_path


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_mask_lies_on_the_grid_of_the_set(tmp_path, key):
    job = write_dicom_job(case(), tmp_path / "input", key)
    path = segmented(job, tmp_path / "output")
    assert path == tmp_path / "output" / "images" / "masks" / "head-mri.mha"
    mask = read_volume(path)
    assert mask.geometry.describes(case().volume.geometry, 1e-4)
    assert np.array_equal(mask.voxels, case().volume.voxels > 500)


def lacking_slice(job):
    sorted(job.rglob("*.dcm"), key=slice_position)[2].unlink()


def slice_position(path):
    return float(pydicom.dcmread(path).ImagePositionPatient[2])


def damaged_slice(job):
    path = min(job.rglob("*.dcm"))
    path.write_bytes(path.read_bytes()[:200])


def second_series(job):
    write_set(job / "images" / "head-mri", case().volume)


def image_beside(job):
    write_volume(job / "images" / "head-mri" / "a.mha", case().volume)


def flat_image(job):
    for path in job.rglob("*.dcm"):
        path.unlink()
    volume = case().volume
    write_set(job / "images" / "head-mri", volume.with_voxels(np.zeros_like(volume.voxels)))


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lacking_slice, "lacks about 1 slices"),
        (damaged_slice, r"\.dcm: belongs to no series"),
        (second_series, "expected one series of MR images, found 2"),
        (image_beside, "expected exactly one image, found 9 files"),
        (flat_image, "head-mri: every voxel is 0"),
    ],
)
def test_bad_set_is_refused_with_its_folder_and_no_mask(tmp_path, damage, cause):
    job = write_dicom_job(case(), tmp_path / "input")
    damage(job)
    with pytest.raises(InputError, match=cause) as refused:
        segmented(job, tmp_path / "output")
    assert str(refused.value).startswith(f"{job}/images/head-mri")
    assert not list(tmp_path.rglob("output/**/*.mha"))


def test_without_a_reader_it_is_told_how_to_build_the_image(tmp_path, monkeypatch):
    job = write_dicom_job(case(), tmp_path / "input")
    for module in ("vestibule.dicom.images", "vestibule.dicom.headers"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("pydicom", "pydicom.dataset"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pydicom.* is not installed; build the image with \./build\.sh --dicom"):
        segmented(job, tmp_path / "output")
