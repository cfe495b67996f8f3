"""What is shown of a case: a crop around its structures, axes to the patient's right, front and head."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.reporting import views
from evaluation.reporting.views import find_images, read_view
from evaluation.scoring.cases import join_cases
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, write_volume

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


def test_images_are_found_by_case_and_their_absence_is_named(labels, geometry, tmp_path) -> None:
    path = save_image(tmp_path, labels, geometry)
    assert find_images(tmp_path / "t2", EDITION) == {CASE: path}
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        find_images(tmp_path / "none", EDITION)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(tmp_path / "nowhere", EDITION)


def test_images_whose_names_tell_no_contrast_are_found_by_their_whole_names_as_predict_names_them(
    labels, geometry, tmp_path
) -> None:
    image = Volume(labels.astype(np.float32), geometry)
    write_volume(tmp_path / "t2" / "case7.nii.gz", image)
    write_volume(tmp_path / "t2" / "case7_ceT1.nii.gz", image)
    assert find_images(tmp_path / "t2", EDITION) == {"case7": tmp_path / "t2" / "case7.nii.gz"}
    write_volume(tmp_path / "t2" / "case7.mha", image)
    with pytest.raises(InputError, match="keep one of them"):
        find_images(tmp_path / "t2", EDITION)
