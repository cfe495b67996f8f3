import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from tests.training.importing.test_contours import outlines
from tests.vestibule.dicom.writer import edit, write_series, write_structures
from training.data.challenge_rules import audit
from training.data.raw_cases import find_cases
from training.importing.names import NAMES, match_names, read_names, structure_of
from training.importing.patients import split_by_patient
from training.importing.tcia_vs_seg import read_patient
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_volume

EDITION = get_edition(2021)
AXIAL = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
T1_GRID = Geometry((8, 20, 20), (2.0, 1.0, 1.0), (-10.0, -10.0, 0.0), AXIAL)
T2_GRID = Geometry((16, 40, 40), (1.0, 0.5, 0.5), (-10.15, -10.15, -0.4), AXIAL)


def structures(geometry):
    """A tumour and a cochlea, bool (Z, Y, X), boxes in mm that are alike on every grid."""
    indices = np.indices(geometry.size_zyx).reshape(3, -1).T
    points = geometry.to_patient(indices[:, ::-1]).reshape(*geometry.size_zyx, 3)
    tumour = (np.abs(points - [-2.0, -2.0, 7.0]) < [3.1, 4.1, 3.1]).all(axis=-1)
    cochlea = (np.abs(points - [6.0, 6.0, 7.0]) < [1.1, 1.1, 1.1]).all(axis=-1)
    return {"TV": tumour, "Cochlea": cochlea}


def scan(geometry, seed=0):
    voxels = np.random.default_rng(seed).integers(0, 500, geometry.size_zyx).astype(np.float32)
    return Volume(voxels, geometry)


def write_patient(download, number=1, on=("t1", "t2"), frames=("1.2.9", "1.2.9")):
    """A patient with contours on the named images. Returns his or her folder."""
    folder = download / f"VS-SEG-{number:03d}"
    patient = f"VS-SEG-{number:03d}"
    grids = {"t1": T1_GRID, "t2": T2_GRID}
    for (modality, grid), frame in zip(grids.items(), frames, strict=True):
        description = {"t1": "t1_mpr_gd", "t2": "t2_ci3d"}[modality]
        place = folder / "study" / modality
        uids = write_series(place, scan(grid), description, PatientID=patient, FrameOfReferenceUID=frame)
        if modality in on:
            lines = {name: outlines(mask, grid) for name, mask in structures(grid).items()}
            write_structures(folder / "study" / f"rs_{modality}" / "rs.dcm", lines, uids, patient)
    return folder


def expected(geometry):
    found = structures(geometry)
    return found["TV"] * 1 + found["Cochlea"] * 2


def test_both_images_and_their_labels_are_read(tmp_path):
    t1, t2 = read_patient(write_patient(tmp_path), EDITION, NAMES)
    np.testing.assert_array_equal(t1.volume.voxels, scan(T1_GRID).voxels)
    np.testing.assert_array_equal(t2.volume.voxels, scan(T2_GRID).voxels)
    np.testing.assert_array_equal(t1.labels, expected(T1_GRID))
    np.testing.assert_array_equal(t2.labels, expected(T2_GRID))
    assert (t1.case, t1.contrast, t2.contrast) == ("vs-seg-001", "T1", "T2")
    assert t1.taken_for == {"vs": "TV", "cochlea": "Cochlea"}


@pytest.mark.parametrize("on", ["t1", "t2"])
def test_contours_of_one_image_are_taken_over_to_the_other(tmp_path, on):
    t1, t2 = read_patient(write_patient(tmp_path, on=(on,)), EDITION, NAMES)
    labels = {"t1": t1.labels, "t2": t2.labels}
    grids = {"t1": T1_GRID, "t2": T2_GRID}
    other = {"t1": "t2", "t2": "t1"}[on]
    np.testing.assert_array_equal(labels[on], expected(grids[on]))
    # Every voxel of the other image has the label of the place in the patient where it lies.
    indices_zyx = np.argwhere(np.ones(grids[other].size_zyx))
    places = grids[other].to_patient(indices_zyx[:, ::-1])
    there = grids[on].to_index(places)[:, ::-1]
    safe = np.abs(there - np.rint(there)).max(axis=1) < 0.45
    inside = (np.rint(there) >= 0).all(axis=1) & (np.rint(there) < grids[on].size_zyx).all(axis=1)
    compared = safe & inside
    nearest = np.rint(there[compared]).astype(int)
    wanted = labels[on][tuple(nearest.T)]
    found = labels[other][tuple(indices_zyx[compared].T)]
    np.testing.assert_array_equal(found, wanted)
    assert set(wanted) == {0, 1, 2}


def test_contours_are_not_taken_over_between_frames_of_reference(tmp_path):
    folder = write_patient(tmp_path, on=("t1",), frames=("1.2.9", "1.2.8"))
    with pytest.raises(InputError, match="T2 has no contours of its own, another frame of reference than T1"):
        read_patient(folder, EDITION, NAMES)


def write_authors(contours, shift_mm):
    """The authors' contours, drawn on T1, and their matrix to a T2 that lies `shift_mm` (x, y, z) away."""
    folder = contours / "vs_gk_1_t1"
    folder.mkdir(parents=True)
    entries = []
    for name, mask in structures(T1_GRID).items():
        lines = [line.tolist() for line in outlines(mask, T1_GRID)]
        entries.append({"structure_name": name, "LPS_contour_points": lines})
    (folder / "contours.json").write_text(json.dumps(entries))
    matrix = sitk.AffineTransform(3)
    matrix.SetTranslation(shift_mm)
    sitk.WriteTransform(matrix, str(folder / "T1_LPS_to_T2_LPS.tfm"))


def test_the_authors_contours_follow_their_matrix(tmp_path):
    shift_mm = (4.0, 2.0, 2.0)
    folder = write_patient(tmp_path / "d", on=(), frames=("1.2.9", "1.2.8"))
    write_authors(tmp_path / "c", shift_mm)
    t1, t2 = read_patient(folder, EDITION, NAMES, tmp_path / "c")
    np.testing.assert_array_equal(t1.labels, expected(T1_GRID))
    # The tumour on T2 lies where the matrix takes it.
    on_t1 = T1_GRID.to_patient(np.argwhere(t1.labels == 1)[:, ::-1]).mean(axis=0)
    on_t2 = T2_GRID.to_patient(np.argwhere(t2.labels == 1)[:, ::-1]).mean(axis=0)
    np.testing.assert_allclose(on_t2 - on_t1, shift_mm, atol=0.6)


def test_a_matrix_whose_name_tells_no_direction_is_refused(tmp_path):
    folder = write_patient(tmp_path / "d", on=())
    write_authors(tmp_path / "c", (0.0, 0.0, 0.0))
    (tmp_path / "c" / "vs_gk_1_t1" / "T1_LPS_to_T2_LPS.tfm").rename(tmp_path / "c" / "vs_gk_1_t1" / "matrix.tfm")
    with pytest.raises(InputError, match=r"matrix\.tfm: its name does not tell its direction"):
        read_patient(folder, EDITION, NAMES, tmp_path / "c")


def second_t2(folder):
    write_series(folder / "study" / "again", scan(T2_GRID), "t2_ci3d again", PatientID=folder.name)


def other_patient(folder):
    edit(folder / "study" / "rs_t1" / "rs.dcm", PatientID="VS-SEG-999")


def other_series(folder):
    path = folder / "study" / "rs_t1" / "rs.dcm"
    uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4"}
    write_structures(path, {"TV": outlines(structures(T1_GRID)["TV"], T1_GRID)}, uids, folder.name)


def no_t1(folder):
    for path in (folder / "study" / "t1").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (second_t2, "2 series are T2, where one is due"),
        (other_patient, "holds files of several patients"),
        (other_series, "drawn on a series that this patient does not have"),
        (no_t1, "no series that is T1 with contrast"),
    ],
)
def test_a_patient_that_would_be_mixed_up_is_refused(tmp_path, damage, message):
    folder = write_patient(tmp_path)
    damage(folder)
    with pytest.raises(InputError, match=message):
        read_patient(folder, EDITION, NAMES)


@pytest.mark.parametrize("name", ["TV", "tv", "AN", "VS", "Vol2016", " Vestibular schwannoma "])
def test_names_of_the_collection_are_taken_for_the_tumour(name):
    assert structure_of(name, NAMES) == "vs"


def test_a_name_that_nobody_knows_stops_the_case_and_the_user_may_add_it(tmp_path):
    with pytest.raises(InputError, match="structure 'T1\\+ 13' is not known; tell what it is by --names"):
        match_names(["TV", "T1+ 13"], NAMES, tmp_path)
    table = tmp_path / "names.yaml"
    table.write_text("ignore:\n  - 'T1\\+ \\d+'\n")
    assert match_names(["TV", "T1+ 13"], read_names(table), tmp_path) == {"vs": "TV"}


def test_two_names_of_one_structure_are_ambiguous(tmp_path):
    with pytest.raises(InputError, match="both 'TV' and 'VS' are taken for vs"):
        match_names(["TV", "VS"], NAMES, tmp_path)


def test_contours_without_a_tumour_are_refused(tmp_path):
    with pytest.raises(InputError, match="has no tumour among its structures, which are 'Cochlea'"):
        match_names(["Cochlea"], NAMES, tmp_path)


def test_a_split_is_by_seed_and_does_not_depend_on_the_order():
    names = [f"vs-seg-{number:03d}" for number in range(242)]
    parts = split_by_patient(names, (105, 105, 32), 0)
    assert [list(parts.values()).count(part) for part in ("source", "target", "validation")] == [105, 105, 32]
    assert split_by_patient(names[::-1], (105, 105, 32), 0) == parts
    assert split_by_patient(names, (105, 105, 32), 1) != parts


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["vestibule", "import", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_the_command_makes_a_data_set_that_prepare_reads(tmp_path, monkeypatch, capsys):
    download, out = tmp_path / "download", tmp_path / "out"
    for number in range(1, 6):
        write_patient(download, number)
    # One patient is broken, and costs no other.
    edit(download / "VS-SEG-004" / "study" / "rs_t2" / "rs.dcm", Modality="PLAN")
    settings = ("--shares", "2,2,1", "--workers", "1")
    assert run(monkeypatch, "tcia-vs-seg", download, out, *settings) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 patients could not be imported" in last
    assert "rs.dcm" in last

    record = json.loads((out / "import.json").read_text())
    assert record["outside_the_challenge"]
    assert len(record["cases"]) == 4
    rows = list(csv.DictReader((out / "cases.csv").read_text().splitlines()))
    assert {row["vs"] for row in rows} == {"TV"}
    cases = find_cases(out, EDITION)
    assert {case.domain for case in cases} == {"source", "target"}
    found = audit(cases, out, EDITION)
    assert found["external_data"]
    assert any("import.json" in remark for remark in found["remarks"])
    sizes = {read_volume(case.image).geometry.size_zyx for case in cases}
    assert sizes == {T1_GRID.size_zyx, T2_GRID.size_zyx}


def test_an_import_does_not_mix_with_what_is_there(tmp_path, monkeypatch, capsys):
    write_patient(tmp_path / "d")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert run(monkeypatch, "tcia-vs-seg", tmp_path / "d", tmp_path / "out") == 1
    assert "is not empty; name a new folder" in capsys.readouterr().err


def test_series_of_any_folder_are_written_by_their_kind(tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / "scanner", tmp_path / "out"
    write_series(folder / "1", scan(T2_GRID), "t2_space", PatientID="Ä/1", StudyDate="20200101")
    write_series(folder / "2", scan(T2_GRID, 1), "t2_space", PatientID="Ä/1", StudyDate="20210101")
    write_series(folder / "3", scan(T1_GRID), "t1_gd", PatientID="p2")
    next((folder / "3").glob("*3.dcm")).unlink()
    assert run(monkeypatch, "dicom", folder, out) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 of 3 series were refused" in last
    assert "lacks about 1 slices" in last
    assert sorted(path.name for path in (out / "T2").iterdir()) == ["1_20200101_T2.nii.gz", "1_20210101_T2.nii.gz"]
    np.testing.assert_array_equal(read_volume(out / "T2" / "1_20210101_T2.nii.gz").voxels, scan(T2_GRID, 1).voxels)
    rows = list(csv.DictReader((out / "series.csv").read_text().splitlines()))
    assert [bool(row["problem"]) for row in rows] == [True, False, False]
