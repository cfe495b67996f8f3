"""The T2 images that masks are shown on: found as predict names them; one that cannot be used costs no other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.images import Images, find_images
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Volume, write_volume

EDITION = get_edition(2022)
GOOD, BAD = "crossmoda2022_ldn_1", "crossmoda2022_ldn_2"


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture
def folders(save, labels, geometry, tmp_path, monkeypatch) -> Path:
    """Two cases, each with image, mask `p` and reference `r`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for case in (GOOD, BAD):
        save("r", case, labels)
        save("p", case, labels)
        write_volume(tmp_path / "t2" / EDITION.target_name(case), Volume(labels.astype(np.float32), geometry))
    shutil.copytree("p", "teams/one")
    return tmp_path


def test_images_are_found_by_case_and_their_absence_is_named(folders) -> None:
    (folders / "none").mkdir()
    assert list(find_images(folders / "t2", EDITION).by_case) == [GOOD, BAD]
    with pytest.raises(InputError, match="holds no image"):
        find_images(folders / "none", EDITION)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(folders / "nowhere", EDITION)


def test_images_whose_names_tell_no_contrast_are_found_by_their_whole_names(labels, geometry, tmp_path) -> None:
    image = Volume(labels.astype(np.float32), geometry)
    write_volume(tmp_path / "case7.nii.gz", image)
    write_volume(tmp_path / "case7_ceT1.nii.gz", image)
    assert find_images(tmp_path, EDITION) == Images({"case7": tmp_path / "case7.nii.gz"})


def test_images_whose_names_tell_no_contrast_serve_every_command(folders, monkeypatch) -> None:
    for case in (GOOD, BAD):
        (folders / "t2" / f"{case}_hrT2.nii.gz").rename(folders / "t2" / f"{case}.nii.gz")
    for name in ("evaluate", "screen", "pictures", "check"):
        arguments, result = COMMANDS[name]
        # Nothing is said of images; the little masks are none of a head.
        assert run(monkeypatch, *arguments) == (1 if name == "screen" else 0)
        assert Path(result).is_file()


def test_of_two_images_of_one_case_neither_is_taken(folders) -> None:
    shutil.copy(f"t2/{BAD}_hrT2.nii.gz", f"t2/{BAD}_hrT2.nii")
    found = find_images(Path("t2"), EDITION)
    assert list(found.by_case) == [GOOD]
    assert "keep one of them" in found.refused[0]


def as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/away/x.nii.gz")


def as_damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


COMMANDS = {
    "evaluate": (("evaluate", "p", "r", "out", "--images", "t2", "--workers", "1"), "out/report.html"),
    "evaluate --sheets": (
        ("evaluate", "p", "r", "out", "--images", "t2", "--sheets", "--no-report", "--workers", "1"),
        "out/sheets/sheet_01.png",
    ),
    "evaluate-teams": (("evaluate-teams", "teams", "r", "out", "--images", "t2", "--workers", "1"), "out/report.html"),
    "pictures": (("pictures", "p", "r", "out", "--images", "t2"), f"out/{GOOD}.png"),
    "pictures without references": (
        ("pictures", "p", "out", "--images", "t2", "--report", "--workers", "1"),
        "out/report.html",
    ),
    "screen": (("screen", "p", "--images", "t2", "--workers", "1", "--json", "found.json"), "found.json"),
    "check": (("check", "p", "--images", "t2", "--json", "found.json"), "found.json"),
}


AS_LINKS = [(name, as_link) for name in ("evaluate", "evaluate-teams", "pictures", "screen", "check")]


@pytest.mark.parametrize(("name", "damage"), [*((name, as_damage) for name in COMMANDS), *AS_LINKS])
def test_an_image_that_cannot_be_used_is_counted_and_costs_no_other(name, damage, folders, monkeypatch, capsys) -> None:
    damage(folders / "t2" / f"{BAD}_hrT2.nii.gz")
    arguments, result = COMMANDS[name]
    assert run(monkeypatch, *arguments) == 1
    assert Path(result).is_file()
    *before, last = capsys.readouterr().err.splitlines()
    if name == "check":
        (broken,) = [item for item in json.loads(Path(result).read_text())["findings"] if item["point"] == "images"]
        assert f"{BAD}_hrT2.nii.gz: " in broken["detail"]
        assert "broken: " in last
    elif name == "screen" and damage is as_damage:
        reasons = {case["case"]: case["reasons"] for case in json.loads(Path(result).read_text())["cases"]}
        assert f"{BAD}_hrT2.nii.gz: " in reasons[BAD][0]
    else:
        assert f"1 image cannot be used: t2/{BAD}_hrT2.nii.gz: " in last
        assert any(line.startswith(f"image not used: t2/{BAD}_hrT2.nii.gz: ") for line in before)


def test_pages_of_an_earlier_run_do_not_hide_what_they_lack(folders, monkeypatch, capsys) -> None:
    as_damage(folders / "t2" / f"{BAD}_hrT2.nii.gz")
    arguments, _ = COMMANDS["evaluate-teams"]
    assert run(monkeypatch, *arguments) == 1
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == 1
    told = capsys.readouterr().err
    assert "team one: scored before, not changed" in told
    assert f"1 image cannot be used: t2/{BAD}_hrT2.nii.gz" in told.splitlines()[-1]
