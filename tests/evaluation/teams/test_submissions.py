"""What counts as a submission, and whose it is."""

import os
import zipfile
from pathlib import Path

import pytest

from evaluation.teams.submissions import MASKS, SCORES, ZIP, digest_of, find_submissions, mask_folder
from vestibule.editions import get_edition
from vestibule.errors import InputError

CASE = "crossmoda2021_ldn_1_Label.nii.gz"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_each_entry_is_a_team_and_its_kind_is_told(tmp_path: Path) -> None:
    touch(tmp_path / "a.zip")
    touch(tmp_path / "b" / CASE)
    touch(tmp_path / "c" / "cases.csv")
    touch(tmp_path / "d.csv")
    touch(tmp_path / "e" / "submission.ZIP")
    touch(tmp_path / "README.txt")
    touch(tmp_path / ".DS_Store")
    submissions, others = find_submissions(tmp_path)
    kinds = {item.team: item.kind for item in submissions}
    assert kinds == {"a": ZIP, "b": MASKS, "c": SCORES, "d": SCORES, "e": ZIP}
    assert others == ["README.txt"]
    assert not any(item.fault for item in submissions)


def test_two_entries_of_one_team_are_a_fault_of_that_team_alone(tmp_path: Path) -> None:
    touch(tmp_path / "one.zip")
    touch(tmp_path / "One" / CASE)
    touch(tmp_path / "two.zip")
    first, second = find_submissions(tmp_path)[0]
    assert "One and one.zip of one team; keep one of them" in first.fault
    assert second.fault is None


@pytest.mark.parametrize("name", ["x.tar.gz", "x.7z", "x.rar"])
def test_an_archive_of_another_kind_is_a_team_that_failed(name: str, tmp_path: Path) -> None:
    touch(tmp_path / name)
    (found,), _ = find_submissions(tmp_path)
    assert found.team == "x"
    assert "pack the masks as .zip" in found.fault


def test_a_folder_without_a_submission_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "README.txt")
    with pytest.raises(InputError, match="no submission; expected a zip"):
        find_submissions(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_submissions(tmp_path / "none")


def test_a_digest_tells_content_and_names_and_follows_no_link(tmp_path: Path) -> None:
    touch(tmp_path / "a" / CASE)
    first = digest_of(tmp_path / "a")
    assert digest_of(tmp_path / "a") == first
    (tmp_path / "a" / CASE).write_bytes(b"y")
    assert digest_of(tmp_path / "a") != first
    # A device without an end.
    os.symlink("/dev/zero", tmp_path / "a" / "z")
    assert digest_of(tmp_path / "a") not in (first, None)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(CASE, "x")
    assert len(digest_of(tmp_path / "x.zip")) == 64


def test_masks_may_lie_in_one_folder_of_a_zip_but_not_in_two(tmp_path: Path) -> None:
    edition = get_edition(2022)
    touch(tmp_path / "masks" / "inner" / CASE)
    touch(tmp_path / "__MACOSX" / "masks" / f"._{CASE}")
    assert mask_folder(tmp_path, edition) == tmp_path / "masks" / "inner"
    touch(tmp_path / "other" / CASE)
    with pytest.raises(InputError, match="but the folders masks, other; expected the masks in one folder"):
        mask_folder(tmp_path, edition)
