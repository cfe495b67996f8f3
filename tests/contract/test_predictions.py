"""Masks before an upload: each thing that can be wrong with them is caught by its own point."""

import gzip
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.predictions import _read_mask, check_predictions
from contract.report import FAILED, PASSED, UNTESTED, WARNING, Report
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.unpack import MAX_FILE_BYTES, unpack
from vestibule.volume import Geometry, Volume, write_volume

GEOMETRY = Geometry((12, 20, 24), (1.5, 1.0, 1.0), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CASES = ("crossmoda2022_etz_1", "crossmoda2021_ldn_2")


def mask_of(edition: Edition, shift: int = 0) -> np.ndarray:
    """A tumour of 135 mm3 and cochleae of 108 mm3."""
    mask = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    mask[3:6, 4 + shift : 10 + shift, 5:10] = edition.structures["vs"][0]
    mask[3:6, 14:20, 15:19] = edition.structures["cochlea"][0]
    return mask


@pytest.fixture
def images(tmp_path) -> Path:
    noise = np.random.default_rng(0).normal(size=GEOMETRY.size_zyx).astype(np.float32)
    for case in CASES:
        write_volume(tmp_path / "images" / get_edition(2022).target_name(case), Volume(noise, GEOMETRY))
    return tmp_path / "images"


def masks(folder: Path, year: int = 2022) -> Path:
    edition = get_edition(year)
    for number, case in enumerate(CASES):
        write_volume(folder / edition.prediction_name(case), Volume(mask_of(edition, number), GEOMETRY))
    return folder


def checked(folder: Path, images: Path | None = None, year: int = 2022) -> Report:
    report = Report("test")
    check_predictions(folder, get_edition(year), report, images)
    return report


def first(folder: Path) -> Path:
    return folder / get_edition(2022).prediction_name(CASES[0])


def test_good_masks_pass_every_point(tmp_path, images):
    report = checked(masks(tmp_path / "masks"), images)
    assert {finding.status for finding in report.findings} == {PASSED}, report.as_text()


@pytest.mark.parametrize("year", [2021, 2022, 2023])
def test_masks_of_each_edition_pass(tmp_path, year):
    assert checked(masks(tmp_path / "masks", year), year=year).failures == []


def test_without_images_counts_and_geometry_are_not_testable(tmp_path):
    report = checked(masks(tmp_path / "masks"))
    assert {finding.point for finding in report.findings if finding.status == UNTESTED} == {"counts", "geometry"}


def rewrite(path: Path, **changes) -> None:
    voxels = changes.pop("voxels", mask_of(get_edition(2022)))
    geometry = replace(GEOMETRY, size_zyx=voxels.shape, **changes)
    write_volume(path, Volume(voxels, geometry))


def wrong_name(path: Path) -> None:
    path.rename(path.with_name("crossmoda2022_etz_1_seg.nii.gz"))


def input_name(path: Path) -> None:
    path.rename(path.with_name(get_edition(2022).target_name(CASES[0])))


def in_a_folder(path: Path) -> None:
    (path.parent / "etz").mkdir()
    path.rename(path.parent / "etz" / path.name)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def as_float(path: Path) -> None:
    rewrite(path, voxels=mask_of(get_edition(2022)).astype(np.float32))


def with_slope(path: Path) -> None:
    rewrite(path, voxels=mask_of(get_edition(2022)) * 2)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[112:116] = np.float32(0.5).tobytes()
    path.write_bytes(gzip.compress(bytes(content)))


def foreign_label(path: Path) -> None:
    voxels = mask_of(get_edition(2022))
    voxels[0, 0, 0] = 3
    rewrite(path, voxels=voxels)


def half_labels(path: Path) -> None:
    rewrite(path, voxels=mask_of(get_edition(2022)).astype(np.float32) / 2)


@pytest.mark.parametrize(
    ("spoil", "point"),
    [
        (Path.unlink, "counts"),
        (wrong_name, "names"),
        (input_name, "names"),
        (in_a_folder, "names"),
        (truncated, "readable"),
        (lambda path: path.write_bytes(b"no image"), "readable"),
        (lambda path: rewrite(path, origin_xyz=(5.0, -3.0, 8.0)), "geometry"),
        (lambda path: rewrite(path, spacing_zyx=(1.5, 1.0, 1.1)), "geometry"),
        (lambda path: rewrite(path, direction=(-1.0, 0, 0, 0, -1, 0, 0, 0, 1)), "geometry"),
        (lambda path: rewrite(path, voxels=mask_of(get_edition(2022))[1:]), "geometry"),
        (as_float, "integer type"),
        (with_slope, "integer type"),
        (foreign_label, "labels"),
        (half_labels, "labels"),
    ],
)
def test_a_broken_mask_fails_its_point(tmp_path, images, spoil, point):
    folder = masks(tmp_path / "masks")
    spoil(first(folder))
    report = checked(folder, images)
    assert report.status_of(point) == FAILED, report.as_text()
    assert CASES[0] in next(finding.detail for finding in report.failures if finding.point == point)


def test_hidden_files_beside_masks_are_no_masks(tmp_path, images):
    folder = masks(tmp_path / "masks")
    hidden = folder / f"._{first(folder).name}"
    hidden.write_bytes(b"\0\5\x16\7" + bytes(200))
    report = checked(folder, images)
    assert report.failures == []
    assert report.status_of("other files") == WARNING


def test_an_image_that_cannot_be_opened_is_named_and_its_mask_not_asked_for(tmp_path, images):
    (images / "crossmoda2022_etz_7_hrT2.nii.gz").symlink_to("/away/x.nii.gz")
    report = checked(masks(tmp_path / "masks"), images)
    (failed,) = report.failures
    assert failed.point == "images"
    assert "etz_7_hrT2.nii.gz: is a link to /away/x.nii.gz" in failed.detail


def test_a_damaged_image_is_named_and_the_other_masks_are_compared(tmp_path, images):
    path = images / f"{CASES[0]}_hrT2.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    report = checked(masks(tmp_path / "masks"), images)
    (failed,) = report.failures
    assert failed.point == "images"
    assert f"{path.name}: damaged or truncated" in failed.detail
    assert "every other mask" in next(item.detail for item in report.findings if item.point == "geometry")


def test_a_mask_without_an_image_is_named(tmp_path, images):
    folder = masks(tmp_path / "masks")
    write_volume(folder / "crossmoda2022_etz_9_Label.nii.gz", Volume(mask_of(get_edition(2022)), GEOMETRY))
    assert "crossmoda2022_etz_9_Label.nii.gz belongs to no image" in checked(folder, images).failures[0].detail


def test_an_edition_with_another_structure_is_checked_without_a_volume_that_nobody_measured(tmp_path, images):
    canal = replace(get_edition(2022), structures={"vs": (1,), "cochlea": (2,), "canal": (3, 4)})
    folder = masks(tmp_path / "masks")
    for number, case in enumerate(CASES):
        voxels = mask_of(canal, number)
        voxels[8:10, 2:4, 2:4] = 3
        voxels[10, 2:4, 2:4] = 4
        rewrite(folder / canal.prediction_name(case), voxels=voxels)
    report = Report("test")
    check_predictions(folder, canal, report, images)
    assert report.failures == []
    assert report.status_of("empty canal") == PASSED
    assert report.status_of("volume of canal") == UNTESTED
    assert report.status_of("volume of cochlea") == PASSED


def test_empty_odd_and_copied_masks_are_warned_of_and_do_not_fail(tmp_path, images):
    folder = masks(tmp_path / "masks")
    for case in CASES:
        voxels = mask_of(get_edition(2022))
        voxels[voxels == 2] = 0
        voxels[0, 0, :2] = 2
        rewrite(folder / get_edition(2022).prediction_name(case), voxels=np.where(voxels == 1, 0, voxels))
    (folder / ".DS_Store").write_text("x")
    report = checked(folder, images)
    assert report.failures == []
    warned = {finding.point for finding in report.findings if finding.status == WARNING}
    assert warned == {"empty vs", "volume of cochlea", "copies", "other files"}


def test_a_gzip_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("contract.predictions.MAX_FILE_BYTES", 1000)
    folder = masks(tmp_path / "masks")
    first(folder).write_bytes(gzip.compress(bytes(5000)))
    assert "unpacks to more than 1000 bytes" in checked(folder).failures[0].detail


def test_an_absurd_header_is_refused_without_taking_its_memory(tmp_path):
    folder = masks(tmp_path / "masks")
    content = bytearray(gzip.decompress(first(folder).read_bytes()))
    content[42:48] = np.array([32767, 32767, 32767], dtype="<i2").tobytes()
    first(folder).write_bytes(gzip.compress(bytes(content)))
    assert checked(folder).status_of("readable") == FAILED


def test_a_metaimage_that_reads_another_file_is_refused(tmp_path):
    folder = masks(tmp_path / "masks")
    (tmp_path / "secret").write_bytes(bytes(5000))
    header = "ObjectType = Image\nNDims = 3\nDimSize = 10 10 10\nElementType = MET_UCHAR\nElementDataFile = ../secret\n"
    path = folder / "a.mha"
    path.write_text(header)
    with pytest.raises(InputError, match="lie in another file"):
        _read_mask(path)
    assert checked(folder).status_of("names") == FAILED


def test_nothing_to_check_is_an_error(tmp_path):
    with pytest.raises(InputError, match="empty"):
        checked(tmp_path)


def zip_of(path: Path, entries: dict[str, bytes], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    ("entries", "mode", "named"),
    [
        ({"../evil.nii.gz": b"x"}, 0o100644, "leads out"),
        ({"/etc/evil": b"x"}, 0o100644, "leads out"),
        ({"a/../../evil": b"x"}, 0o100644, "leads out"),
        ({"..\\evil": b"x"}, 0o100644, "leads out"),
        ({"C:/evil": b"x"}, 0o100644, "leads out"),
        ({"link": b"/etc/passwd"}, 0o120777, "is a link"),
        ({"pipe": b""}, 0o010644, "no plain file"),
        ({"a": b"x", "A": b"y"}, 0o100644, "twice"),
    ],
)
def test_a_hostile_zip_is_refused_and_nothing_lands_outside(tmp_path, entries, mode, named):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    with pytest.raises(InputError, match=named):
        unpack(zip_of(tmp_path / "x.zip", entries, mode), folder)
    assert list(folder.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"x.zip", "unpacked"}


def test_a_member_without_a_name_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("QQ", b"x")
    path.write_bytes(path.read_bytes().replace(b"QQ", b"\0Q"))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="leads out"):
        unpack(path, tmp_path / "out")


def test_a_bomb_is_refused_by_what_it_holds_and_not_by_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("vestibule.unpack.MAX_TOTAL_BYTES", 3000)
    (tmp_path / "unpacked").mkdir()
    archive = zip_of(tmp_path / "x.zip", {f"{number}": bytes(1000) for number in range(5)})
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(archive, tmp_path / "unpacked")


def test_a_member_that_says_it_is_huge_is_refused_unread(tmp_path):
    archive = zip_of(tmp_path / "x.zip", {"a": b"x"})
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (MAX_FILE_BYTES + 1).to_bytes(4, "little")
    archive.write_bytes(bytes(content))
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(InputError, match="refused"):
        unpack(archive, tmp_path / "unpacked")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"text"])
def test_what_is_no_zip_is_named(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(InputError, match=r"x\.zip: not a whole zip"):
        unpack(tmp_path / "x.zip", tmp_path / "unpacked")


def command(*arguments) -> subprocess.CompletedProcess[str]:
    # Without torch, and without what would bring it: a folder of masks is looked at on any laptop.
    code = "import sys; sys.modules['torch'] = None; from vestibule.cli import main; sys.argv[0] = 'vestibule'; main()"
    call = [sys.executable, "-c", code, "check", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_the_command_reads_a_zip_without_torch_and_prints_json(tmp_path, images):
    folder = masks(tmp_path / "masks")
    archive = zip_of(tmp_path / "x.zip", {path.name: path.read_bytes() for path in folder.iterdir()})
    result = command(archive, "--images", images, "--json")
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["ok"] is True
    assert {finding["status"] for finding in content["findings"]} == {PASSED}


def test_the_command_fails_with_the_points_in_its_last_line(tmp_path, images):
    folder = masks(tmp_path / "masks")
    as_float(first(folder))
    result = command(folder, "--images", images)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("broken: integer type")
    assert "store labels as uint8" in result.stdout


def renamed(folder: Path, pattern: str) -> Path:
    for number, path in enumerate(sorted(folder.iterdir()), start=1):
        path.rename(folder / pattern.format(number))
    return folder


def test_the_edition_is_told_by_the_case_names(tmp_path):
    folder = renamed(masks(tmp_path / "masks", 2023), "crossmoda2023_ukm_{}.nii.gz")
    result = command(folder, "--json")
    assert result.returncode == 0, result.stderr
    details = {finding["point"]: finding["detail"] for finding in json.loads(result.stdout)["findings"]}
    assert details["labels"] == "0, vs 1+2, cochlea 3"


def test_a_misnamed_mask_does_not_hide_the_edition(tmp_path):
    folder = masks(tmp_path / "masks")
    wrong_name(first(folder))
    result = command(folder)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("broken: names")


def test_an_edition_must_be_given_where_the_case_names_do_not_tell_it(tmp_path):
    folder = renamed(masks(tmp_path / "masks"), "patient{}_Label.nii.gz")
    result = command(folder)
    assert result.returncode == 1
    assert f"{folder}: its case names, such as 'patient1', do not tell the edition" in result.stderr
    assert command(folder, "--edition", "2022").returncode == 0


def test_an_edition_that_contradicts_the_case_names_is_refused(tmp_path):
    result = command(masks(tmp_path / "masks"), "--edition", "2023")
    assert result.returncode == 1
    assert "are called as those of edition 2022" in result.stderr


def test_an_image_is_not_checked_without_an_edition(tmp_path):
    result = command("vestibule:latest")
    assert result.returncode == 1
    assert "vestibule:latest: an image is run on generated cases" in result.stderr
    assert "--edition (2021, 2022, 2023)" in result.stderr


def test_the_command_names_what_is_not_there(tmp_path):
    result = command(tmp_path / "absent")
    assert (result.returncode, "absent: no such" in result.stderr) == (1, True)
