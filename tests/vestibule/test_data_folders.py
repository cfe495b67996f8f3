"""Folders of downloads by their many names; what is not certain is refused."""

from pathlib import Path

import pytest

from vestibule.data_folders import ROLES, SOURCE, TARGET, VALIDATION, DataFolders, locate, references_of
from vestibule.editions import EDITIONS, get_edition
from vestibule.errors import InputError


def made(data: Path, *names: str) -> Path:
    for name in names:
        (data / name).mkdir(parents=True)
    return data


@pytest.mark.parametrize("year", EDITIONS)
@pytest.mark.parametrize(
    "names",
    [
        ("TrainingSource", "TrainingTarget", "crossmoda23_validation"),
        ("source_training", "target_training", "target_validation"),
        ("training_source", "training_target", "validation"),
        ("crossmoda23_training/TrainingSource", "crossmoda23_training/TrainingTarget", "crossmoda23_validation"),
        (
            "crossmoda2022_training/training_source",
            "crossmoda2022_training/training_target",
            "crossmoda2022_validation",
        ),
        ("Source Training", "target-training", "Val"),
    ],
)
def test_known_names_are_found_in_every_edition(year: int, names: tuple, tmp_path: Path) -> None:
    assert locate(made(tmp_path, *names), get_edition(year)) == DataFolders(*names)


def test_the_editions_own_name_comes_first(tmp_path: Path) -> None:
    # Two editions side by side, each with its own names.
    made(tmp_path, "source_training", "target_training", "training_source", "training_target", "TrainingSource")
    assert locate(tmp_path, get_edition(2021)).source == "source_training"
    assert locate(tmp_path, get_edition(2023)).source == "training_source"


def test_two_that_may_be_meant_are_refused_with_both_names(tmp_path: Path) -> None:
    made(tmp_path, "TrainingSource", "crossmoda2022_training/training_source", "training_target")
    with pytest.raises(InputError, match=r"TrainingSource and crossmoda2022_training/training_source may both hold"):
        locate(tmp_path, get_edition(2023))
    # Whoever asks for another role is not stopped by it.
    assert locate(tmp_path, get_edition(2023), roles=(TARGET,)).target == "training_target"


def test_a_name_that_is_given_counts_and_must_be_there(tmp_path: Path) -> None:
    made(tmp_path, "t1", "TrainingSource", "TrainingTarget")
    assert locate(tmp_path, get_edition(2023), {SOURCE: "t1"}).source == "t1"
    with pytest.raises(InputError, match=r"t3: no such folder, named for target, the unlabelled T2 images"):
        locate(tmp_path, get_edition(2023), {TARGET: "t3"})
    with pytest.raises(InputError, match="named for source and for target"):
        locate(tmp_path, get_edition(2023), {SOURCE: "t1", TARGET: "t1"})


def test_what_is_not_there_keeps_the_editions_name_and_labels_are_no_images(tmp_path: Path) -> None:
    made(tmp_path, "references/TrainingTarget", ".TrainingSource", "other/training_source")
    edition = get_edition(2023)
    assert locate(tmp_path, edition) == DataFolders.of_edition(edition)


@pytest.mark.parametrize("beside", ["crossmoda23_validation", "validation"])
def test_references_are_called_as_the_images_folder_or_as_the_editions(beside: str, tmp_path: Path) -> None:
    made(tmp_path, "crossmoda23_validation", f"references/{beside}")
    found = references_of(tmp_path, get_edition(2023), "crossmoda23_validation", VALIDATION)
    assert found == tmp_path / "references" / beside
    assert set(ROLES) == {SOURCE, TARGET, VALIDATION}
