"""What is shown of a case: a crop around its structures, axes to the patient's right, front and head."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.reporting import views
from evaluation.reporting.views import place_to_open, read_view, slice_numbers
from evaluation.scoring.cases import join_cases
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, reorient, write_volume

EDITION = get_edition(2022)
CASE = "crossmoda2022_etz_1"


@pytest.fixture
def small_margin(monkeypatch) -> None:
    monkeypatch.setattr(views, "MARGIN_MM", 0.9)


def read(tmp_path: Path, image: Path | None = None) -> views.CaseView:
    pair = join_cases(tmp_path / "p", tmp_path / "r", EDITION).pairs[0]
    return read_view(pair, EDITION, image_path=image)


def save_image(tmp_path: Path, voxels: np.ndarray, geometry: Geometry) -> Path:
    path = tmp_path / "t2" / EDITION.target_name(CASE)
    write_volume(path, Volume(voxels.astype(np.float32), geometry))
    return path


def test_a_crop_holds_the_structures_and_a_margin_turned_to_right_front_and_head(
    save, labels, geometry, tmp_path, small_margin
) -> None:
    for folder in ("p", "r"):
        save(folder, CASE, labels)
    image = save_image(tmp_path, labels == 1, geometry)
    view = read(tmp_path, image)
    # Structures at z 2-5, y 3-9, x 2-7; 0.9 mm are one slice, two rows, three columns; the files' axes run to left and
    # back.
    expected = labels[1:7, 1:12, 0:10][:, ::-1, ::-1]
    assert np.array_equal(view.reference, expected)
    assert np.array_equal(view.prediction, expected)
    assert np.array_equal(view.image, np.where(expected == 1, 255, 0))
    assert np.array_equal(view.geometry.matrix, np.diag([-1.0, -1.0, 1.0]))
    first = geometry.to_patient(np.array([9, 11, 1]))
    assert view.geometry.origin_xyz == pytest.approx(tuple(first))
    assert view.notes == ()


def test_a_case_without_a_usable_prediction_or_image_shows_its_reference(save, labels, geometry, tmp_path) -> None:
    save("r", CASE, labels)
    save("r", "crossmoda2022_etz_2", labels)
    save("p", "crossmoda2022_etz_2", labels)
    image = save_image(tmp_path, labels[:-1], replace(geometry, size_zyx=(7, 12, 10)))
    view = read(tmp_path, image)
    assert view.reference.any()
    assert not view.prediction.any()
    assert not view.image.any()
    assert len(view.notes) == 2
    assert "no prediction" in view.notes[0]
    assert "not on the reference's grid" in view.notes[1]


def test_a_prediction_all_over_the_image_does_not_blow_up_the_crop(
    save, labels, tmp_path, monkeypatch, small_margin
) -> None:
    monkeypatch.setattr(views, "MAX_VOXELS", 900)
    everywhere = labels.copy()
    everywhere[0, 0, 0] = everywhere[-1, -1, -1] = 1
    save("p", CASE, everywhere)
    save("r", CASE, labels)
    view = read(tmp_path)
    assert view.reference.shape == (6, 11, 10)
    assert "reaches beyond" in view.notes[0]


def test_a_prediction_with_a_label_that_the_edition_does_not_have_is_not_shown(save, labels, tmp_path) -> None:
    save("p", CASE, np.where(labels == 2, 7, labels).astype(np.uint8))
    save("r", CASE, labels)
    view = read(tmp_path)
    assert not view.prediction.any()
    assert view.reference.any()
    assert "holds 7" in view.notes[0]


def test_a_case_is_opened_at_the_tumours_largest_section_though_another_slice_shows_more_cochlea() -> None:
    labels = np.zeros((6, 20, 20), dtype=np.uint8)
    labels[1, 2:18, 2:18] = 2
    labels[3, 4:6, 4:6] = 1
    labels[4, 6:11, 8:13] = 1
    assert place_to_open(labels, np.zeros_like(labels), EDITION) == (4, 8, 10)


def test_a_case_without_a_tumour_is_opened_at_a_predicted_one_then_at_any_structure_then_in_the_middle() -> None:
    nothing = np.zeros((6, 20, 20), dtype=np.uint8)
    cochlea = nothing.copy()
    cochlea[1, 2:5, 2:5] = 2
    tumour = nothing.copy()
    tumour[5, 10:13, 2:5] = 1
    assert place_to_open(cochlea, tumour, EDITION) == (5, 11, 3)
    assert place_to_open(cochlea, nothing, EDITION) == (1, 3, 3)
    assert place_to_open(nothing, cochlea, EDITION) == (1, 3, 3)
    assert place_to_open(nothing, nothing, EDITION) == (3, 10, 10)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LPI", "SLP", "PIR"])
def test_slices_are_numbered_from_the_feet_whatever_the_files_axes(labels, geometry, axes) -> None:
    lying_as_wished = Volume(labels, geometry)
    part = lying_as_wished.part((slice(3, 6), slice(0, 12), slice(0, 10))).geometry
    whole = reorient(lying_as_wished, axes).geometry
    assert slice_numbers(part, whole) == (3, 8)


def test_a_view_of_masks_whose_slices_run_downwards_tells_slices_and_opening_place(save, labels, geometry, tmp_path):
    downwards = reorient(Volume(labels, geometry), "LPI")
    for folder in ("p", "r"):
        save(folder, CASE, downwards.voxels, downwards.geometry)
    view = read(tmp_path)
    assert view.slices == 8
    z, y, x = view.opened_at_zyx
    # The tumour is in slices 2 and 3 of rows 3 to 5 and columns 2 to 4; the view's axes run to right, front and head.
    assert view.first_slice + z == 2
    assert view.reference[z, y, x] == 1
