"""Each kind of bad input: one clear line that names file and cause, and the other patients go on."""

import numpy as np
import pydicom
import pytest

from tests.training.importing.test_contours import outlines
from tests.training.importing.test_tcia_vs_seg import T2_GRID, run, scan, structures, write_patient
from tests.vestibule.dicom.writer import edit, write_series, write_structures
from vestibule.files import is_unfinished


def no_images(folder):
    for path in folder.rglob("*.dcm"):
        path.unlink()


def no_t2(folder):
    for path in (folder / "study" / "t2").iterdir():
        path.unlink()


def two_series(folder):
    write_series(folder / "study" / "again", scan(T2_GRID), "t2_ci3d again", PatientID=folder.name)


def contours_of_another_patient(folder):
    edit(folder / "study" / "rs_t2" / "rs.dcm", PatientID="VS-SEG-999")


def rewritten(folder, lines):
    """The contours of T2 with other lines."""
    path = folder / "study" / "rs_t2" / "rs.dcm"
    old = pydicom.dcmread(path)
    frame = old.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    uids = {
        "StudyInstanceUID": old.StudyInstanceUID,
        "SeriesInstanceUID": series.SeriesInstanceUID,
        "FrameOfReferenceUID": frame.FrameOfReferenceUID,
    }
    write_structures(path, lines, uids, folder.name)


def contour_outside(folder):
    above = np.array([0, 0, 90])
    rewritten(folder, {"TV": [line + above for line in outlines(structures(T2_GRID)["TV"], T2_GRID)]})


def unknown_structure(folder):
    rewritten(folder, {"T1+ 13": outlines(structures(T2_GRID)["TV"], T2_GRID)})


def jpeg_2000(folder):
    for path in (folder / "study" / "t2").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        dataset.save_as(path)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def truncated_image(folder):
    cut(folder / "study" / "t2" / "IM0003.dcm", 0.9)


def truncated_header(folder):
    cut(folder / "study" / "t2" / "IM0003.dcm", 0.2)


def truncated_contours(folder):
    cut(folder / "study" / "rs_t2" / "rs.dcm", 0.5)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_images, "VS-SEG-002: no DICOM file in this folder"),
        (no_t2, "VS-SEG-002: no series that is T2"),
        (two_series, "VS-SEG-002: 2 series are T2, where one is due"),
        (contours_of_another_patient, "VS-SEG-002: holds files of several patients"),
        (contour_outside, "rs.dcm: structure 'TV': a contour lies outside of the image"),
        (unknown_structure, "rs.dcm: structure 'T1+ 13' is not known"),
        (jpeg_2000, "its pixels cannot be decoded (JPEG 2000"),
        (truncated_image, "IM0003.dcm: its pixels cannot be decoded"),
        (truncated_header, "IM0003.dcm: "),
        (truncated_contours, "rs.dcm: "),
    ],
)
def test_a_bad_patient_gets_one_line_and_costs_no_other(tmp_path, monkeypatch, capsys, damage, told):
    download, out = tmp_path / "download", tmp_path / "out"
    write_patient(download, 1)
    damage(write_patient(download, 2))
    # Both are to be written as T2 with references.
    assert run(monkeypatch, "tcia-vs-seg", download, out, "--shares", "0,0,1", "--workers", "1") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert "1 patients could not be imported, the first: " in lines[-1]
    assert not any("Traceback" in line for line in lines)

    files = [path for path in out.rglob("*") if path.is_file()]
    assert {path.name for path in files if "vs-seg" in path.name} == {
        "vs-seg-001_hrT2.nii.gz",
        "vs-seg-001_Label.nii.gz",
    }
    assert not any(is_unfinished(path) for path in files)


@pytest.mark.parametrize("command", ["tcia-vs-seg", "mc-rc", "dicom"])
def test_a_folder_without_images_is_named_and_nothing_is_written(tmp_path, monkeypatch, capsys, command):
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "notes.txt").write_text("nothing")
    masks = ("--masks", tmp_path / "download") if command == "mc-rc" else ()
    assert run(monkeypatch, command, tmp_path / "download", tmp_path / "out", *masks) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(tmp_path / "download") in line
    assert not (tmp_path / "out").exists()
