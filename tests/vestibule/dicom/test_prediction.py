import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.vestibule.dicom.test_images import only, rotation
from tests.vestibule.dicom.writer import write_series
from training.importing.contours import mask_of, read_structures
from vestibule.cli import main
from vestibule.dicom.images import read_stack
from vestibule.editions import get_edition
from vestibule.formats import write_names
from vestibule.inputs import holds_dicom
from vestibule.volume import Geometry, Volume, read_labels, read_volume, write_volume


def scan(seed=0, angle=0):
    """A bright head-like ball with structure in it, on a coarse grid."""
    geometry = Geometry((10, 60, 60), (6.0, 3.0, 3.0), (-88.5, -88.5, -30.0), tuple(rotation(0, angle)))
    z, y, x = np.indices(geometry.size_zyx)
    ball = ((y - 30) ** 2 + (x - 30) ** 2 < 24**2) * 400.0
    noise = np.random.default_rng(seed).normal(0, 40, ball.shape)
    return Volume(np.abs(ball + noise + z).round().astype(np.float32), geometry)


@pytest.fixture
def predict(monkeypatch, tiny_bundle, tmp_path, capsys):
    """`vestibule predict` with a bundle of random weights; gives (exit code, last line on stderr)."""

    def run(*arguments):
        command = ["vestibule", "predict", *map(str, arguments), "--weights", str(tiny_bundle)]
        monkeypatch.setattr("sys.argv", command)
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        lines = capsys.readouterr().err.strip().splitlines()
        return code, lines[-1] if lines else ""

    return run


@pytest.mark.parametrize("angle", [0, 12])
def test_a_series_gets_the_mask_of_the_same_image_as_nifti(tmp_path, predict, angle):
    write_series(tmp_path / "scan" / "study" / "t2", scan(angle=angle), "t2_ciss", PatientID="P 1")
    write_series(tmp_path / "scan" / "study" / "t1", scan(1), "t1_gd", PatientID="P 1")
    code, _ = predict(tmp_path / "scan", tmp_path / "out", "--write", "rtstruct", "--write", "dicom-seg")
    assert code == 0
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["p-1_T2.nii.gz"]
    (mask_path,) = (tmp_path / "out").glob("*.nii.gz")

    stack = read_stack(only(tmp_path / "scan" / "study" / "t2"))
    write_volume(tmp_path / "nifti" / "p-1_T2.nii.gz", stack.volume)
    assert predict(tmp_path / "nifti", tmp_path / "other")[0] == 0
    mask = read_labels(mask_path)
    np.testing.assert_array_equal(mask.voxels, read_labels(tmp_path / "other" / mask_path.name).voxels)
    assert mask.voxels.any()

    # What was written as DICOM is this mask, and refers to the images.
    stem = mask_path.name.removesuffix(".nii.gz")
    structures = read_structures(tmp_path / "out" / f"{stem}_RTSTRUCT.dcm").structures
    for structure in structures:
        value = {"VS": 1, "cochlea": 2}[structure.name]
        found = mask_of(structure.contours, stack.volume.geometry, structure.name)
        np.testing.assert_array_equal(found, mask.voxels == value)
    seg = pydicom.dcmread(tmp_path / "out" / f"{stem}_SEG.dcm")
    assert len(seg.SegmentSequence) == len(structures)


def test_a_series_that_cannot_be_read_is_a_failed_image_and_costs_no_other(tmp_path, predict):
    write_series(tmp_path / "scan" / "a", scan(), "t2", PatientID="a")
    write_series(tmp_path / "scan" / "b", scan(1), "t2", PatientID="b")
    next((tmp_path / "scan" / "a").glob("*0003.dcm")).unlink()
    code, last = predict(tmp_path / "scan", tmp_path / "out", "--json", tmp_path / "all.json")
    assert code == 1
    assert "1 of 2 images have no mask" in last
    assert "lacks about 1 slices" in last
    assert [case["case"] for case in json.loads((tmp_path / "all.json").read_text())["cases"]] == ["b"]


def test_images_of_an_earlier_input_are_not_segmented_again(tmp_path, predict):
    write_series(tmp_path / "first", scan(), "t2", PatientID="a")
    write_series(tmp_path / "second", scan(1), "t2", PatientID="b")
    assert predict(tmp_path / "first", tmp_path / "out")[0] == 0
    (mask,) = (tmp_path / "out").glob("*.nii.gz")
    mask.unlink()
    assert predict(tmp_path / "second", tmp_path / "out")[0] == 0
    assert [path.name.startswith("b") for path in (tmp_path / "out").glob("*.nii.gz")] == [True]


@pytest.mark.parametrize("name", ["dicom-seg", "rtstruct"])
def test_dicom_is_not_written_without_the_images_it_refers_to(tmp_path, predict, name):
    write_volume(tmp_path / "in" / "a_T2.nii.gz", scan())
    code, last = predict(tmp_path / "in", tmp_path / "out", "--write", name)
    assert code == 1
    assert f"--write {name}: refers to DICOM images, and INPUT holds none" in last
    assert not (tmp_path / "out").exists()


def test_nrrd_is_the_same_mask_in_the_same_place(tmp_path, predict):
    write_volume(tmp_path / "in" / "a_T2.nii.gz", scan(angle=12))
    assert predict(tmp_path / "in", tmp_path / "out", "--write", "nrrd", "--write", "names")[0] == 0
    (path,) = (tmp_path / "out").glob("*.nrrd")
    nrrd = sitk.ReadImage(str(path))
    mask = read_volume(path.with_name(path.name.replace(".nrrd", ".nii.gz")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(nrrd), mask.voxels)
    assert nrrd.GetDirection() == pytest.approx(mask.geometry.direction, abs=1e-5)
    assert (tmp_path / "out" / "labels.ctbl").is_file()


def test_labels_are_named_as_viewers_read_them(tmp_path):
    write_names(tmp_path, get_edition(2021))
    rows = [line.split() for line in (tmp_path / "labels.ctbl").read_text().splitlines() if not line.startswith("#")]
    assert [(row[0], row[1]) for row in rows] == [("0", "background"), ("1", "VS"), ("2", "cochlea")]
    assert all(len(row) == 6 for row in rows)
    assert '1 214 39 40 1 1 1 "VS"' in (tmp_path / "labels.txt").read_text()


def test_a_folder_with_an_image_in_it_is_no_dicom(tmp_path):
    write_series(tmp_path / "scan", scan(), "t2")
    assert holds_dicom(tmp_path)
    write_volume(tmp_path / "a_T2.nii.gz", scan())
    assert not holds_dicom(tmp_path)
