"""`vestibule pictures`: the slice with reference and result outlined, a file a case."""

import json
import re
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


@pytest.fixture
def alone(folders) -> list[Path]:
    """Masks and out, and the images that they belong to."""
    images, masks, _, out = folders
    return [masks, out, "--images", images]


def test_the_order_of_evaluate_gives_the_same_as_the_older_one(folders, tmp_path, monkeypatch, capsys) -> None:
    images, masks, references, out = folders
    assert run(monkeypatch, *folders) == 0
    assert "now it is vestibule pictures MASKS REFERENCES OUT --images IMAGES" in capsys.readouterr().err
    assert run(monkeypatch, masks, references, tmp_path / "new", "--images", images) == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "new" / f"{CASE}.png").read_bytes() == (out / f"{CASE}.png").read_bytes()


def test_json_tells_the_pictures(alone, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *alone, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pictures"] == {CASE: str(alone[1] / f"{CASE}.png")}
    assert (document["edition"], document["report"], document["problems"]) == (2023, None, {})


def test_masks_without_references_are_outlined_in_their_own_colours(alone, save, labels, monkeypatch, capsys) -> None:
    save("p", CASE, masks_2023(labels), edition=2023)
    assert run(monkeypatch, *alone) == 0
    assert "1 pictures in" in capsys.readouterr().out
    picture = alone[1] / f"{CASE}.png"
    assert has_colour(picture, TUMOUR_PEN.prediction)
    for pen in (TUMOUR_PEN, COCHLEA_PEN):
        assert not has_colour(picture, pen.reference)


def test_a_mask_that_does_not_fit_or_is_not_there_is_named_and_costs_no_other(
    alone, save, labels, geometry, tmp_path, monkeypatch, capsys
) -> None:
    edition = get_edition(2023)
    for number in (8, 9, 10):
        image = Volume(labels.astype(np.float32), geometry)
        write_volume(tmp_path / "t2" / edition.target_name(f"crossmoda2023_etz_{number}"), image)
    save("p", "crossmoda2023_etz_8", labels[:4], Geometry((4, 12, 10), *list(vars(geometry).values())[1:]), 2023)
    save("p", "crossmoda2023_etz_9", labels * 3, edition=2023)
    assert run(monkeypatch, *alone, "--report", "--workers", "1") == 1
    told = capsys.readouterr().err
    assert "crossmoda2023_etz_8: " in told
    assert "expected (8, 12, 10) voxels (z, y, x) as its image has, got (4, 12, 10)" in told
    assert "holds 6, which is no label of edition 2023" in told
    assert "crossmoda2023_etz_10: no mask of this image" in told
    assert has_colour(alone[1] / f"{CASE}.png", TUMOUR_PEN.prediction)

    page = (alone[1] / "report.html").read_text()
    order = re.findall(r'<tr tabindex="-?\d" data-case="(\w+)"', page)
    # All have a note: the tumour of 7 is far smaller than any patient's.
    assert order == [f"crossmoda2023_etz_{number}" for number in (7, 8, 9, 10)]
    assert "Dice" not in page.partition("<footer>")[0]
    assert page.count("data-view=") == 3
    assert "no mask of this image" in page


def test_the_report_shows_the_volumes_of_masks_alone(alone, labels, geometry, monkeypatch) -> None:
    assert run(monkeypatch, *alone, "--report", "--workers", "1") == 0
    page = (alone[1] / "report.html").read_text()
    # 18 voxels of 1.5 x 0.5 x 0.4 mm.
    assert 'data-value="5.4' in page
    assert "1 cases without references" in page
    assert 'style="display: none"><input type="checkbox" id="show-reference"' in page


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (2, [], "name the folder of T2 images by --images"),
        (1, ["--images", "t2"], "expected MASKS OUT or MASKS REFERENCES OUT, got 1 folders"),
        (4, ["--images", "t2"], "got 4 folders"),
        (3, ["--images", "t2", "--report"], "vestibule evaluate writes it with them"),
    ],
)
def test_another_number_of_folders_is_wrong_usage(count, options, message, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *"abcd"[:count], *options) == 2
    assert message in capsys.readouterr().err
