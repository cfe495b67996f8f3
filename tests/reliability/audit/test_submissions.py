"""Boundary: submissions. A mask counts by its own voxels: no link, no second name, no copy goes unseen.

MetaImages that name another file for their voxels are in tests/vestibule/test_metaimage.py, the other layouts'
links in tests/evaluation/.
"""

import json
import os
import shutil
import subprocess

import pytest

from evaluation.scoring.folder import score_folder


@pytest.fixture
def folders(tmp_path, save_mask):
    """References of two cases, and a team's masks of them, of which c1's is missing."""
    for case in ("c1", "c2"):
        save_mask(tmp_path / "ref" / f"{case}_Label.nii.gz")
    save_mask(tmp_path / "team" / "c2_Label.nii.gz", moved=1)
    return tmp_path / "ref", tmp_path / "team"


def scored(folders):
    """`metrics.json` of the team."""
    references, team = folders
    out = references.parent / "out"
    score_folder(team, references, out, 2022)
    return json.loads((out / "metrics.json").read_text())


def test_link_to_another_teams_mask_is_named(folders, tmp_path, save_mask):
    theirs = save_mask(tmp_path / "other" / "c1_Label.nii.gz", moved=2)
    (folders[1] / "c1_Label.nii.gz").symlink_to(theirs)
    assert scored(folders)["notes"]["c1"] == [f"is a link out of its folder, to {theirs}"]


@pytest.mark.parametrize("far", [False, True], ids=["the mask", "its folder"])
def test_link_to_another_teams_mask_counts_as_missing_where_teams_are_ranked(tmp_path, save_mask, run, far):
    for folder in ("ref", "teams/honest"):
        save_mask(tmp_path / folder / "c1_Label.nii.gz")
    thief = tmp_path / "teams" / "thief"
    if far:
        thief.mkdir()
        (thief / "masks").symlink_to(tmp_path / "teams" / "honest")
    else:
        save_mask(thief / "c2_Label.nii.gz")
        (thief / "c1_Label.nii.gz").symlink_to(tmp_path / "teams" / "honest" / "c1_Label.nii.gz")
    options = ["--edition", 2022, "--workers", 1, "--no-report"]
    run("evaluate-teams", tmp_path / "teams", tmp_path / "ref", tmp_path / "out", *options)
    found = json.loads((tmp_path / "out" / "teams" / "thief" / "metrics.json").read_text())
    assert "a link out of the submission" in found["scored_as_empty"]["c1"]


def test_link_within_the_folder_is_nobodys_business(folders):
    (folders[1] / "c1_Label.nii.gz").symlink_to(folders[1] / "c2_Label.nii.gz")
    assert scored(folders)["notes"] == {}


def test_copy_of_the_reference_is_named(folders):
    shutil.copy(folders[0] / "c1_Label.nii.gz", folders[1])
    assert scored(folders)["notes"]["c1"] == ["is the reference byte for byte"]


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_second_name_of_any_reference_is_refused(folders, link):
    link(folders[0] / "c2_Label.nii.gz", folders[1] / "c1_Label.nii.gz")
    metrics = scored(folders)
    assert "reference" in metrics["scored_as_empty"]["c1"]


def test_mount_of_a_reference_is_refused(folders):
    place = folders[1] / "c1_Label.nii.gz"
    place.touch()
    mounted = subprocess.run(["mount", "--bind", folders[0] / place.name, place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no leave to mount")
    try:
        assert "reference" in scored(folders)["scored_as_empty"]["c1"]
    finally:
        subprocess.run(["umount", place], check=True)
