import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.training.importing.test_tcia_vs_seg import T1_GRID as GRID
from tests.training.importing.test_tcia_vs_seg import run, scan, structures
from tests.vestibule.dicom.writer import edit, write_series
from training.importing.mc_rc import COLLECTION, contrasts_of, read_patient, read_table
from training.importing.patients import split_by_patient
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Volume, read_labels, read_volume, reorient, write_volume

EDITION = get_edition(2021)
DATES = ("20200101", "20210301")


class Download:
    """The collection as TCIA delivers it: DICOM here, masks and their table there."""

    def __init__(self, folder):
        self.images = folder / "manifest" / "Vestibular-Schwannoma-MC-RC"
        self.masks = folder / "masks"
        self.rows = []

    def add(self, number, date, contrast, orientation="LPS", seed=0):
        """An image and its mask, whose axes are stored in another order. Returns the paths of both."""
        patient = f"VS-MC-RC-{number:03d}"
        folder = self.images / patient / f"{date}-MRI" / contrast
        description = {"T1": "t1_mprage_gd", "T2": "t2_space"}[contrast]
        uids = write_series(folder, scan(GRID, seed), description, PatientID=patient, StudyDate=date)
        place = f"{patient}/{date[:4]}-{date[4:6]}-{date[6:]}/{patient}_seg_{contrast}.nii.gz"
        path = self.masks / "release" / "VS-MC-RC segmentations" / place
        tumour = structures(GRID)["TV"]
        write_volume(path, reorient(Volume(tumour.astype(np.uint8), GRID), orientation))
        self.rows.append({"series_instance_uid": uids["SeriesInstanceUID"], "SegmentationPath": place, "site": "a"})
        return folder, path

    def write_table(self, rows=None):
        path = self.masks / "release" / "VS_MC_RC_segmentation-info.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as stream:
            table = csv.DictWriter(stream, ["site", "SegmentationPath", "series_instance_uid"])
            table.writeheader()
            table.writerows(self.rows if rows is None else rows)
        return path


@pytest.fixture
def download(tmp_path):
    return Download(tmp_path / "download")


def read(download, number=1):
    return read_patient(download.images / f"VS-MC-RC-{number:03d}", EDITION, read_table(download.masks))


def test_images_of_all_dates_are_read_with_masks_stored_in_any_order(download):
    download.add(1, DATES[0], "T2", "LPS")
    download.add(1, DATES[1], "T2", "RAS", seed=1)
    download.add(1, DATES[1], "T1", "PIR", seed=2)
    download.write_table()
    scans = read(download)
    cases = [f"vs-mc-rc-001_{date}" for date in DATES]
    assert [(one.case, one.contrast) for one in scans] == [(cases[0], "T2"), (cases[1], "T2"), (cases[1], "T1")]
    for seed, one in enumerate(scans):
        np.testing.assert_array_equal(one.volume.voxels, scan(GRID, seed).voxels)
        np.testing.assert_array_equal(one.labels, structures(GRID)["TV"])


def test_an_image_without_a_mask_is_left_out(download):
    download.add(1, DATES[0], "T2")
    _, withheld = download.add(1, DATES[1], "T2")
    withheld.unlink()
    download.rows[1]["SegmentationPath"] = ""
    download.write_table()
    assert [one.case for one in read(download)] == [f"vs-mc-rc-001_{DATES[0]}"]


def other_patient(download, image, mask):
    for path in image.glob("*1.dcm"):
        edit(path, PatientID="someone", SeriesInstanceUID="1.2.3")


def mask_of_another(download, image, mask):
    download.add(2, DATES[0], "T2")
    own, other = download.rows
    other["series_instance_uid"] = own["series_instance_uid"]
    download.write_table([other])


def series_lost(download, image, mask):
    for path in image.iterdir():
        path.unlink()
    write_series(image, scan(GRID), "t2_space", PatientID="VS-MC-RC-001")


def mask_moved(download, image, mask):
    labels = read_labels(mask)
    away = replace(labels.geometry, origin_xyz=(40.0, 0.0, 0.0))
    write_volume(mask, Volume(labels.voxels, away))


def mask_empty(download, image, mask):
    labels = read_labels(mask)
    write_volume(mask, labels.with_voxels(np.zeros_like(labels.voxels)))


def mask_cut(download, image, mask):
    mask.write_bytes(mask.read_bytes()[:-20])


def same_date(download, image, mask):
    uids = write_series(image.parent / "again", scan(GRID), "t2_space", PatientID="VS-MC-RC-001", StudyDate=DATES[0])
    second = mask.with_name("again_T2.nii.gz")
    second.write_bytes(mask.read_bytes())
    place = "/".join(second.parts[-3:])
    download.rows.append({"series_instance_uid": uids["SeriesInstanceUID"], "SegmentationPath": place, "site": "a"})
    download.write_table()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_patient, "holds files of several patients"),
        (mask_of_another, "is a mask of vs-mc-rc-002, outlined on a series of VS-MC-RC-001"),
        (series_lost, "outlined on a series that .*VS-MC-RC-001 does not have"),
        (mask_moved, "does not lie on its image, where 0 of its"),
        (mask_empty, "an empty mask; expected a tumour"),
        (mask_cut, "_T2.nii.gz: "),
        (same_date, "has another outlined T2; keep one"),
    ],
)
def test_a_patient_that_would_be_mixed_up_is_refused_by_name(download, damage, message):
    image, mask = download.add(1, DATES[0], "T2")
    download.write_table()
    damage(download, image, mask)
    with pytest.raises(InputError, match=message):
        read(download)


def no_table(download):
    download.write_table().unlink()


def other_columns(download):
    path = download.write_table()
    path.write_text(path.read_text().replace("SegmentationPath", "mask"))


def no_masks(download):
    download.write_table([{"SegmentationPath": "a/b/c_T2.nii.gz", "series_instance_uid": "1.2", "site": ""}])


def twice(download):
    download.add(1, DATES[1], "T2")
    download.rows[1]["series_instance_uid"] = download.rows[0]["series_instance_uid"]
    download.write_table()


def no_contrast(download):
    path = next(download.masks.rglob("*.nii.gz"))
    path.rename(path.with_name("mask.nii.gz"))
    download.rows[0]["SegmentationPath"] = download.rows[0]["SegmentationPath"].replace(path.name, "mask.nii.gz")
    download.write_table()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_table, "expected one table called"),
        (other_columns, "expected a column 'SegmentationPath', got 'site', 'mask', 'series_instance_uid'"),
        (no_masks, "none of its masks is in"),
        (twice, "are both of series"),
        (no_contrast, "does not tell T1 from T2"),
    ],
)
def test_a_table_that_tells_too_little_is_refused(download, damage, message):
    download.add(1, DATES[0], "T2")
    damage(download)
    with pytest.raises(InputError, match=message):
        read_table(download.masks)


def test_a_patient_gets_a_part_that_he_or_she_has_images_for():
    names = [f"p{number}" for number in range(30)]
    contrasts = {name: {"T2"} if index % 3 else {"T1", "T2"} for index, name in enumerate(names)}
    contrasts["p29"] = {"T1"}
    parts = split_by_patient(names, (1, 1, 1), 0, contrasts)
    for name, part in parts.items():
        assert ("T1" if part == "source" else "T2") in contrasts[name]
    # Ten have T1, and one who has nothing else is a source besides.
    assert [list(parts.values()).count(part) for part in ("source", "target", "validation")] == [11, 10, 9]
    both = {name: {"T1", "T2"} for name in names}
    assert split_by_patient(names, (2, 2, 1), 5, both) == split_by_patient(names, (2, 2, 1), 5)


def test_the_command_makes_a_data_set_of_dated_cases(download, tmp_path, monkeypatch, capsys):
    for number in (1, 2, 3):
        for seed, date in enumerate(DATES):
            download.add(number, date, "T2", seed=number + 10 * seed)
    download.add(1, DATES[0], "T1")
    download.write_table()
    # A patient whose masks the challenge keeps.
    write_series(download.images / "VS-MC-RC-004" / "s" / "T2", scan(GRID), "t2", PatientID="VS-MC-RC-004")
    out = tmp_path / "out"
    command = ("mc-rc", download.images.parent, out, "--masks", download.masks, "--workers", "1", "--shares", "1,1,1")
    assert run(monkeypatch, *command) == 0
    assert "1 of 4 patients have no mask" in capsys.readouterr().err

    assert [path.name for path in (out / EDITION.source_folder).glob("*_ceT1*")] == [
        f"vs-mc-rc-001_{DATES[0]}_ceT1.nii.gz"
    ]
    references = sorted(EDITION.references_of(out, EDITION.validation_folder).iterdir())
    assert [path.name.split("_")[1] for path in references] == list(DATES)
    for path in references:
        np.testing.assert_array_equal(read_volume(path).voxels, structures(GRID)["TV"])
    record = json.loads((out / "import.json").read_text())
    assert record["collection"] == COLLECTION.title
    assert record["outside_the_challenge"]


def test_patients_without_masks_are_told_apart(download):
    download.add(7, DATES[0], "T1")
    download.write_table()
    folders = COLLECTION.patient_folders(download.images)
    assert contrasts_of(folders, read_table(download.masks)) == {"vs-mc-rc-007": {"T1"}}
