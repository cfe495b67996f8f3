"""Joining by case, and bringing a prediction onto its reference's grid."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.scoring.cases import edition_of_masks, join_cases, read_pair, references_by_case
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.turning import turned_onto
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2022)


def oblique(geometry: Geometry) -> Geometry:
    """`geometry` turned by 20 degrees about x and 10 about z."""
    a, b = np.deg2rad([20, 10])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return replace(geometry, direction=tuple((about_z @ about_x @ geometry.matrix).ravel()))


def stored_otherwise(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same voxels in the same place of the patient, with array axes (x, y, z) reordered, then reversed."""
    geometry, index = volume.geometry, np.zeros(3)
    voxels = volume.voxels.transpose(2, 1, 0).transpose(order)
    for axis, flip in enumerate(flips):
        if flip:
            voxels = np.flip(voxels, axis)
            index[order[axis]] = geometry.size_zyx[::-1][order[axis]] - 1
    matrix = geometry.matrix[:, list(order)] * np.where(flips, -1, 1)
    return Volume(
        np.ascontiguousarray(voxels.transpose(2, 1, 0)),
        Geometry(
            size_zyx=voxels.shape[::-1],
            spacing_zyx=tuple(geometry.spacing_zyx[::-1][axis] for axis in order)[::-1],
            origin_xyz=tuple(geometry.to_patient(index)),
            direction=tuple(matrix.ravel()),
        ),
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_other_orientation_is_turned_back_exactly(order: tuple, flips: tuple, geometry: Geometry) -> None:
    voxels = np.random.default_rng(1).integers(0, 3, geometry.size_zyx).astype(np.uint8)
    original = Volume(voxels, oblique(geometry))
    turned = turned_onto(stored_otherwise(original, order, flips), original.geometry)
    assert np.array_equal(turned.voxels, voxels)
    assert turned.geometry.describes(original.geometry, tolerance_mm=1e-9)


def test_a_grid_elsewhere_cannot_be_turned_onto_another(geometry: Geometry) -> None:
    volume = Volume(np.zeros(geometry.size_zyx, dtype=np.uint8), geometry)
    assert turned_onto(volume, replace(geometry, origin_xyz=(0.0, 0.0, 0.0))) is None
    assert turned_onto(volume, oblique(geometry)) is None


def test_rounding_in_a_header_is_no_other_place(geometry: Geometry, save, labels) -> None:
    save("references", "crossmoda2022_etz_1", labels)
    moved = replace(geometry, origin_xyz=tuple(value + 0.01 for value in geometry.origin_xyz))
    save("predictions", "crossmoda2022_etz_1", labels, moved)
    assert read_first(save).problem is None


def folders(save) -> tuple[Path, Path]:
    here = save("references", "crossmoda2021_ldn_1", np.ones((8, 12, 10), dtype=np.uint8)).parents[1]
    return here / "predictions", here / "references"


def read_first(save, mode: str = "default"):
    predictions, references = folders(save)
    return read_pair(join_cases(predictions, references, EDITION).pairs[-1], EDITION, mode)


def test_cases_with_the_same_first_number_are_not_mixed_up(save, labels) -> None:
    for number in (1, 2, 10):
        save("references", f"crossmoda2021_ldn_{number}", labels)
        save("predictions", f"crossmoda2021_ldn_{number}", labels)
    joined = join_cases(*folders(save), EDITION)
    assert [(pair.case, pair.prediction_path.name) for pair in joined.pairs] == [
        (f"crossmoda2021_ldn_{number}", f"crossmoda2021_ldn_{number}_Label.nii.gz") for number in (1, 2, 10)
    ]


def test_masks_called_as_their_case_are_joined_and_images_are_passed_over(save, labels, tmp_path: Path) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels, edition=2023)
    save("references", "crossmoda2021_ldn_1", labels)
    for name in (EDITION.target_name("crossmoda2021_ldn_1"), ".hidden.nii.gz", "notes.txt"):
        (tmp_path / "predictions" / name).write_bytes(b"")
    joined = join_cases(*folders(save), EDITION)
    assert [pair.problem for pair in joined.pairs] == [None]
    assert joined.extra == []


def test_missing_and_extra_cases_are_named(save, labels) -> None:
    for case in ("crossmoda2021_ldn_1", "crossmoda2021_ldn_2"):
        save("references", case, labels)
    for case in ("crossmoda2021_ldn_2", "crossmoda2021_ldn_3"):
        save("predictions", case, labels)
    joined = join_cases(*folders(save), EDITION)
    assert "crossmoda2021_ldn_1_Label.nii.gz" in joined.pairs[0].problem
    assert [path.name for path in joined.extra] == ["crossmoda2021_ldn_3_Label.nii.gz"]


def test_two_predictions_of_a_case_cost_that_case(save, labels) -> None:
    save("references", "crossmoda2021_ldn_2", labels)
    for case in ("crossmoda2021_ldn_1", "crossmoda2021_ldn_2"):
        save("predictions", case, labels)
    save("predictions", "crossmoda2021_ldn_1", labels, edition=2023)
    problems = [pair.problem for pair in join_cases(*folders(save), EDITION).pairs]
    assert "two predictions" in problems[0]
    assert problems[1] is None


def test_two_references_of_a_case_stop_the_evaluation(save, labels) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels)
    save("references", "crossmoda2021_ldn_1", labels, edition=2023)
    with pytest.raises(InputError, match="keep one"):
        join_cases(*folders(save), EDITION)


def test_folders_that_do_not_belong_together_stop_the_evaluation(save, labels, tmp_path: Path) -> None:
    save("predictions", "crossmoda2021_ldn_7", labels)
    with pytest.raises(InputError, match=r"expected, for instance, crossmoda2021_ldn_1_Label\.nii\.gz"):
        join_cases(*folders(save), EDITION)
    with pytest.raises(InputError, match="no such folder"):
        join_cases(tmp_path / "nowhere", tmp_path / "references", EDITION)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no reference mask"):
        join_cases(tmp_path / "predictions", tmp_path / "empty", EDITION)


def test_a_link_into_the_references_is_refused(save, labels, tmp_path: Path) -> None:
    reference = save("references", "crossmoda2021_ldn_1", labels)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / reference.name).symlink_to(reference)
    assert "link into the references" in join_cases(*folders(save), EDITION).pairs[0].problem


@pytest.mark.parametrize("target", ["its own reference", "another reference"])
def test_a_hard_link_to_a_reference_is_refused(save, labels, tmp_path: Path, target: str) -> None:
    own = save("references", "crossmoda2021_ldn_1", labels)
    other = save("references", "crossmoda2021_ldn_2", labels)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / own.name).hardlink_to(own if target == "its own reference" else other)
    joined = join_cases(tmp_path / "predictions", tmp_path / "references", EDITION)
    assert "the same file as the reference crossmoda2021_ldn_" in joined.pairs[0].problem


def test_a_folder_that_is_a_link_to_the_references_is_refused(save, labels, tmp_path: Path) -> None:
    reference = save("references", "crossmoda2021_ldn_1", labels)
    (tmp_path / "predictions").symlink_to(reference.parent)
    joined = join_cases(tmp_path / "predictions", tmp_path / "references", EDITION)
    assert "link into the references" in joined.pairs[0].problem


def test_links_to_where_linked_references_lie_are_refused(save, labels, tmp_path: Path) -> None:
    stored = save("store", "crossmoda2021_ldn_1", labels)
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / stored.name).symlink_to(stored)
    joined = join_cases(tmp_path / "predictions", tmp_path / "references", EDITION)
    assert "the same file as the reference" in joined.pairs[0].problem


def test_links_to_masks_of_ones_own_and_references_against_themselves_are_scored(save, labels, tmp_path: Path) -> None:
    references = save("references", "crossmoda2021_ldn_1", labels).parent
    own = save("own", "crossmoda2021_ldn_1", labels)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / own.name).symlink_to(own)
    for predictions in (tmp_path / "predictions", references):
        assert join_cases(predictions, references, EDITION).pairs[0].problem is None


def test_a_prediction_of_another_shape_counts_as_empty(save, labels, geometry: Geometry) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels[:-1], replace(geometry, size_zyx=(7, 12, 10)))
    pair = read_first(save)
    assert "expected (8, 12, 10) voxels" in pair.problem
    assert not pair.prediction.any()


def test_a_prediction_elsewhere_counts_as_empty_but_the_challenge_compares_voxels(save, labels, geometry) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels, replace(geometry, origin_xyz=(0.0, 0.0, 0.0)))
    assert "lies elsewhere" in read_first(save).problem
    challenge = read_first(save, "challenge")
    assert challenge.problem is None
    assert np.array_equal(challenge.prediction, labels)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08\x00 and no more"])
def test_a_prediction_that_is_no_image_counts_as_empty(content: bytes, save, labels, tmp_path: Path) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels).write_bytes(content)
    pair = read_first(save)
    assert "crossmoda2021_ldn_1_Label.nii.gz" in pair.problem
    assert pair.prediction.shape == pair.reference.shape
    assert not pair.prediction.any()


def test_a_truncated_prediction_counts_as_empty(save, labels) -> None:
    path = save("predictions", "crossmoda2021_ldn_1", labels)
    path.write_bytes(path.read_bytes()[:-20])
    assert "truncated" in read_first(save).problem


def test_a_reference_that_cannot_be_read_stops_the_evaluation(save, labels) -> None:
    save("predictions", "crossmoda2021_ldn_1", labels)
    predictions, references = folders(save)
    (references / "crossmoda2021_ldn_1_Label.nii.gz").write_bytes(b"gone")
    pair = join_cases(predictions, references, EDITION).pairs[0]
    with pytest.raises(InputError, match="references"):
        read_pair(pair, EDITION)


def test_labels_stored_through_a_slope_are_rounded(labels, geometry, tmp_path: Path) -> None:
    almost = np.where(labels == 1, np.float32(0.9999999997671694), labels).astype(np.float32)
    for folder in ("predictions", "references"):
        write_volume(tmp_path / folder / EDITION.label_name("a"), Volume(almost, geometry))
    pair = read_pair(join_cases(tmp_path / "predictions", tmp_path / "references", EDITION).pairs[0], EDITION)
    assert np.array_equal(pair.prediction, labels)
    assert np.array_equal(pair.reference, labels)


def test_a_folder_of_folders_is_told_with_their_names(save, labels, tmp_path) -> None:
    save("data/references/validation", "crossmoda2021_ldn_1", labels)
    with pytest.raises(InputError, match="references: no mask in this folder; name one of its folders: validation"):
        edition_of_masks(tmp_path / "data" / "references")
    with pytest.raises(InputError, match="edition 2022 in this folder; name one of its folders: references"):
        references_by_case(tmp_path / "data", get_edition(2022))
