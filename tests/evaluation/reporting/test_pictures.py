"""`vestibule pictures`: the slice with reference and result outlined, a file a case."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from evaluation.reporting.colours import pens_of
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, read_volume, reorient, write_volume

CASE = "crossmoda2023_etz_7"
TUMOUR_PEN, COCHLEA_PEN = pens_of(get_edition(2023))


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", "pictures", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def masks_2023(labels: np.ndarray) -> np.ndarray:
    """The same tumour and cochlea in the labels of 2023, the tumour in two parts."""
    values = np.where(labels == 2, 3, labels).astype(np.uint8)
    values[:, :, 4:][values[:, :, 4:] == 1] = 2
    return values


@pytest.fixture
def folders(save, labels, geometry: Geometry, tmp_path: Path) -> list[Path]:
    """Images, predictions, references and out: one case of 2023, its tumour found whole and its cochlea missed."""
    values = masks_2023(labels)
    save("r", CASE, values, edition=2023)
    save("p", CASE, np.where(values == 3, 0, values).astype(np.uint8), edition=2023)
    image = Volume(labels.astype(np.float32), geometry)
    write_volume(tmp_path / "t2" / get_edition(2023).target_name(CASE), image)
    return [tmp_path / folder for folder in ("t2", "p", "r", "out")]


def has_colour(path: Path, colour: str) -> bool:
    """Whether a picture shows a colour outside its legend, which stands in the lowest tenth."""
    picture = matplotlib.image.imread(path)[..., :3]
    above_legend = picture[: len(picture) * 9 // 10]
    apart = np.abs(above_legend - to_rgb(colour)).max(axis=2)
    return bool((apart < 0.05).any())


def test_the_edition_is_told_and_both_masks_are_outlined(folders, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *folders) == 0
    assert "1 pictures in" in capsys.readouterr().out
    assert has_colour(folders[-1] / f"{CASE}.png", TUMOUR_PEN.prediction)


def test_a_missed_tumour_has_the_references_outline_alone(folders, save, labels, monkeypatch) -> None:
    save("p", CASE, np.where(labels == 2, 3, 0).astype(np.uint8), edition=2023)
    assert run(monkeypatch, *folders) == 0
    picture = folders[-1] / f"{CASE}.png"
    assert has_colour(picture, TUMOUR_PEN.reference)
    assert not has_colour(picture, TUMOUR_PEN.prediction)


def test_tumour_and_cochlea_have_colours_of_their_own(folders, save, labels, monkeypatch) -> None:
    both = np.where(labels == 2, 3, labels).astype(np.uint8)
    both[:, 0:2] = both[::-1, 8:10]
    for folder in ("p", "r"):
        save(folder, CASE, both, edition=2023)
    assert (both[3] == 1).any()
    assert (both[3] == 3).any()
    # Moved, so that the prediction's line does not cover the reference's.
    save("p", CASE, np.roll(both, 2, axis=2), edition=2023)
    assert run(monkeypatch, *folders) == 0
    for pen in (TUMOUR_PEN, COCHLEA_PEN):
        for colour in (pen.reference, pen.prediction):
            assert has_colour(folders[-1] / f"{CASE}.png", colour)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "SLP", "PIR"])
def test_masks_whose_axes_run_elsewhere_give_the_same_picture(folders, labels, geometry, axes, monkeypatch) -> None:
    assert run(monkeypatch, *folders) == 0
    picture = folders[-1] / f"{CASE}.png"
    expected = matplotlib.image.imread(picture)
    for folder in folders[:3]:
        (path,) = folder.iterdir()
        write_volume(path, reorient(read_volume(path), axes))
    for folder in folders[1:3]:
        (path,) = folder.iterdir()
        turned = read_volume(path)
        write_volume(path, turned.with_voxels(turned.voxels.astype(np.uint8)))
    assert run(monkeypatch, *folders) == 0
    np.testing.assert_array_equal(matplotlib.image.imread(picture), expected)


def test_an_edition_that_the_names_contradict_is_refused(folders, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *folders, "--edition", "2022") == 1
    assert "called as those of edition 2023" in capsys.readouterr().err
    assert not folders[-1].exists()


def test_a_reference_with_a_label_that_the_edition_does_not_have_is_named(
    save, labels, geometry, tmp_path, monkeypatch, capsys
):
    for folder in ("p", "r"):
        save(folder, "patient_7", masks_2023(labels), edition=2023)
    write_volume(tmp_path / "t2" / "patient_7_T2.nii.gz", Volume(labels.astype(np.float32), geometry))
    folders = [tmp_path / folder for folder in ("t2", "p", "r", "out")]
    assert run(monkeypatch, *folders, "--edition", "2022") == 1
    assert "r/patient_7.nii.gz: holds 3, which is no label of edition 2022" in capsys.readouterr().err


def test_images_without_a_reference_are_named(folders, geometry, labels, tmp_path, monkeypatch, capsys) -> None:
    write_volume(tmp_path / "others" / "crossmoda2023_etz_9_T2.nii.gz", Volume(labels.astype(np.float32), geometry))
    assert run(monkeypatch, tmp_path / "others", *folders[1:]) == 1
    assert "no T2 image belongs to a reference" in capsys.readouterr().err


def test_an_image_of_another_size_than_its_reference_is_named(folders, geometry, labels, tmp_path, monkeypatch, capsys):
    smaller = Geometry((7, 12, 10), geometry.spacing_zyx, geometry.origin_xyz, geometry.direction)
    write_volume(folders[0] / f"{CASE}_T2.nii.gz", Volume(labels[:7].astype(np.float32), smaller))
    assert run(monkeypatch, *folders) == 1
    assert "has size (7, 12, 10) (z, y, x), its reference (8, 12, 10)" in capsys.readouterr().err


def test_an_image_in_another_orientation_gives_the_same_picture(folders, geometry, labels, monkeypatch) -> None:
    assert run(monkeypatch, *folders) == 0
    picture = folders[-1] / f"{CASE}.png"
    expected = matplotlib.image.imread(picture)
    image = reorient(Volume(labels.astype(np.float32), geometry), "RAS")
    write_volume(folders[0] / get_edition(2023).target_name(CASE), image)
    assert run(monkeypatch, *folders) == 0
    np.testing.assert_array_equal(matplotlib.image.imread(picture), expected)


def test_an_image_that_lies_elsewhere_is_named(folders, geometry, labels, monkeypatch, capsys) -> None:
    moved = Geometry(geometry.size_zyx, geometry.spacing_zyx, (99.0, 12.0, 5.0), geometry.direction)
    write_volume(folders[0] / get_edition(2023).target_name(CASE), Volume(labels.astype(np.float32), moved))
    assert run(monkeypatch, *folders) == 1
    assert "not on the reference's grid" in capsys.readouterr().err
