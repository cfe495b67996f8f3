"""Failed masks are named without a reference, and sound ones are not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.images import find_images
from evaluation.screening import screen_folder
from vestibule.cli import main
from vestibule.editions import Anatomy, get_edition
from vestibule.screening import inside_head, screen_labels
from vestibule.volume import Geometry, Volume, reorient, write_volume

EDITION = get_edition(2022)
GEOMETRY = Geometry((20, 60, 60), (2.0, 2.0, 2.0), (-59.0, -59.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CASE = "crossmoda2022_etz_1"
VOXEL_MM3 = 8


def sound() -> np.ndarray:
    """Labels of a patient: a tumour of 512 mm3 beside the left one of two cochleae of 64 mm3 each."""
    labels = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    labels[8:12, 30:34, 37:41] = 1
    labels[9:11, 25:27, 44:46] = labels[9:11, 25:27, 14:16] = 2
    return labels


def head() -> np.ndarray:
    """An image (Z, Y, X) of a round head of 104 mm with bright fluid and a dark mastoid around each cochlea."""
    _, y, x = np.indices(GEOMETRY.size_zyx)
    image = np.where((y - 29.5) ** 2 + (x - 29.5) ** 2 < 26**2, 300.0, 3.0)
    image[:, 16:24, 25:35] = 900.0
    image[5:15, 20:32, 41:50] = image[5:15, 20:32, 10:19] = 3.0
    return (image + np.random.default_rng(0).normal(0, 1, image.shape)).astype(np.float32)


def but(**boxes: tuple[int, int, int, int, int, int]) -> np.ndarray:
    """The sound labels with boxes (z, z, y, y, x, x) set to 0 (`cut`), 1 (`tumour`), 2 (`cochlea`) or 7 (`foreign`)."""
    labels = sound()
    for name, (z0, z1, y0, y1, x0, x1) in boxes.items():
        labels[z0:z1, y0:y1, x0:x1] = {"cut": 0, "tumour": 1, "cochlea": 2, "foreign": 7}[name]
    return labels


BROKEN = {
    "no tumour": (but(cut=(8, 12, 30, 34, 37, 41)), "vs: empty"),
    "no cochlea": (but(cut=(9, 11, 25, 27, 0, 60)), "cochlea: empty"),
    "tiny tumour": (
        but(cut=(8, 12, 30, 34, 37, 41), tumour=(9, 10, 30, 31, 37, 42)),
        "vs: 40 mm3; labels of the",
    ),
    "huge tumour": (but(tumour=(2, 18, 28, 58, 20, 40)), "have 44 to 9801"),
    "second tumour": (but(tumour=(3, 6, 40, 42, 20, 22)), "vs: 2 parts, 96 mm3 beyond the largest"),
    "third cochlea": (but(cochlea=(9, 11, 40, 43, 20, 21)), "cochlea: 3 parts, 48 mm3 beyond the largest 2"),
    "left cochlea alone": (but(cut=(9, 11, 25, 27, 14, 16)), "cochlea: on one side only"),
    "speck on the right": (
        but(cut=(9, 11, 25, 27, 14, 16), cochlea=(9, 10, 25, 26, 14, 15)),
        "cochlea: nearly missing on the right, 11% of its volume",
    ),
    "label of another edition": (but(foreign=(0, 1, 0, 1, 0, 1)), "holds 7; edition 2022 knows (0, 1, 2)"),
}


def reasons(labels: np.ndarray, image: np.ndarray | None = None) -> list[str]:
    shown = None if image is None else inside_head(Volume(image, GEOMETRY))
    return screen_labels(Volume(labels, GEOMETRY), EDITION, shown)[0]


def test_nothing_speaks_against_a_sound_mask() -> None:
    assert reasons(sound(), head()) == []
    assert screen_labels(Volume(sound(), GEOMETRY), EDITION)[1] == {"vs": 64 * VOXEL_MM3, "cochlea": 16 * VOXEL_MM3}


def test_crumbs_beside_a_structure_are_passed_over() -> None:
    assert reasons(but(tumour=(2, 3, 40, 41, 20, 22), cochlea=(2, 3, 40, 41, 30, 32))) == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_mask_is_told(name: str) -> None:
    labels, expected = BROKEN[name]
    assert any(expected in reason for reason in reasons(labels))


def test_left_and_right_are_the_patients_whatever_the_axes() -> None:
    labels, expected = BROKEN["speck on the right"]
    for axes in ("RAS", "SRP", "ALI"):
        turned = reorient(Volume(labels, GEOMETRY), axes)
        assert screen_labels(turned, EDITION)[0] == [expected]


def test_a_mask_in_the_air_is_told_by_the_image() -> None:
    beside = but(cut=(8, 12, 30, 34, 37, 41), tumour=(8, 12, 0, 4, 0, 4))
    assert reasons(beside) == []
    assert reasons(beside, head()) == ["vs: most of it lies outside the head"]


def test_air_cells_within_the_skull_are_inside_the_head_and_corners_are_not() -> None:
    inside = inside_head(Volume(head(), GEOMETRY))
    assert inside[10, 25, 45]
    assert inside[10, 25, 15]
    assert not inside[10, :4, :4].any()
    assert inside_head(Volume(np.ones_like(head()), GEOMETRY)).all()


def save(folder: Path, case: str, labels: np.ndarray, geometry: Geometry = GEOMETRY) -> Path:
    path = folder / EDITION.prediction_name(case)
    write_volume(path, Volume(labels, geometry))
    return path


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", "screen", *map(str, arguments)])
    monkeypatch.setattr("evaluation.scoring.processes.default_workers", lambda items: None)
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_the_command_names_the_masks_and_says_so_by_its_exit_code(tmp_path, monkeypatch, capsys) -> None:
    save(tmp_path / "p", CASE, sound())
    assert run(monkeypatch, tmp_path / "p") == 0
    assert "nothing speaks against any of 1 masks" in capsys.readouterr().out
    save(tmp_path / "p", "crossmoda2022_etz_2", BROKEN["no tumour"][0])
    save(tmp_path / "p", "crossmoda2022_etz_3", sound()).write_bytes(b"broken")
    assert run(monkeypatch, tmp_path / "p", "--json", tmp_path / "found.json") == 1
    out, err = capsys.readouterr()
    assert "vs: empty" in out
    last = err.splitlines()[-1]
    assert "2 of 3 masks look as if they had failed: crossmoda2022_etz_2, crossmoda2022_etz_3" in last
    found = json.loads((tmp_path / "found.json").read_text())
    assert [bool(case["reasons"]) for case in found["cases"]] == [False, True, True]


def test_images_tell_of_masks_that_are_missing_or_lie_elsewhere(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        write_volume(tmp_path / "t2" / EDITION.target_name(f"etz_{number}"), Volume(head(), GEOMETRY))
    save(tmp_path / "p", "etz_1", sound())
    save(tmp_path / "p", "etz_2", sound(), replace(GEOMETRY, origin_xyz=(0.0, 0.0, 0.0)))
    save(tmp_path / "p", "etz_3", sound()[:-1], replace(GEOMETRY, size_zyx=(19, 60, 60)))
    found = screen_folder(tmp_path / "p", EDITION, find_images(tmp_path / "t2", EDITION))
    assert [item.case for item in found] == ["etz_1", "etz_2", "etz_3", "etz_4"]
    assert found[0].reasons == ()
    for item, part in zip(found[1:], ("lies elsewhere", "expected (20, 60, 60)", "no mask"), strict=True):
        assert part in item.reasons[0]


def test_wrong_folders_are_named(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert run(monkeypatch, tmp_path / "empty") == 1
    assert "no mask in this folder" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path / "nowhere") == 1
    assert "no such folder" in capsys.readouterr().err


def test_the_edition_is_told_by_names_and_must_be_given_where_they_do_not(tmp_path, monkeypatch, capsys) -> None:
    labels = sound()
    labels[labels == 2] = 3
    write_volume(tmp_path / "p" / "crossmoda2023_etz_1.nii.gz", Volume(labels, GEOMETRY))
    assert run(monkeypatch, tmp_path / "p", "--json", tmp_path / "found.json") == 0
    assert json.loads((tmp_path / "found.json").read_text())["edition"] == 2023
    assert run(monkeypatch, tmp_path / "p", "--edition", "2022") == 1
    assert "leave out --edition" in capsys.readouterr().err

    save(tmp_path / "q", "patient1", sound())
    assert run(monkeypatch, tmp_path / "q") == 1
    assert "give one with --edition" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path / "q", "--edition", "2021") == 0


def test_a_label_of_another_edition_is_told_by_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "p", CASE, BROKEN["label of another edition"][0])
    assert screen_folder(tmp_path / "p", EDITION)[0].reasons == (f"{path.name} holds 7; edition 2022 knows (0, 1, 2)",)


def test_of_a_structure_only_what_is_known_of_its_anatomy_is_checked() -> None:
    other = replace(EDITION, structures={"vs": (1,), "cochlea": (2,), "facial_nerve": (3,)})
    labels = sound()
    labels[2, 2, 2] = labels[17, 50, 50] = 3
    assert screen_labels(Volume(labels, GEOMETRY), other) == (
        [],
        {"vs": 64 * VOXEL_MM3, "cochlea": 16 * VOXEL_MM3, "facial_nerve": 2 * VOXEL_MM3},
    )
    labels[labels == 3] = 0
    assert screen_labels(Volume(labels, GEOMETRY), other)[0] == ["facial_nerve: empty"]

    # 8 mm3 on each side: one part too many, and as large as the least volume.
    known = replace(other, anatomy=EDITION.anatomy | {"facial_nerve": Anatomy("facial nerve", 1, (8.0, 16.0))})
    labels[2, 2, 2] = labels[17, 50, 50] = 3
    assert screen_labels(Volume(labels, GEOMETRY), known)[0] == ["facial_nerve: 2 parts, 8 mm3 beyond the largest"]
