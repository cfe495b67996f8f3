"""The platform's list of jobs: which mask is whose, and which list is none."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation.platform.jobs import LISTING, Submission, read_jobs
from vestibule.errors import InputError


def job(case: str) -> dict:
    """A job as the platform lists it, with an output that is no image."""
    return {
        "pk": f"job-{case}",
        "inputs": [{"image": {"name": f"{case}_hrT2.nii.gz"}, "socket": {"slug": "t2", "super_kind": "Image"}}],
        "outputs": [
            {"image": {"name": "x"}, "socket": {"slug": "vs", "relative_path": "images/vs", "super_kind": "Image"}},
            {"value": {}, "socket": {"slug": "results", "relative_path": "results.json", "super_kind": "Value"}},
        ],
    }


def submit(folder: Path, jobs: object) -> Path:
    listing = folder / LISTING
    listing.write_text(json.dumps(jobs))
    return listing


def put(folder: Path, case: str, name: str, output: str = "images/vs") -> Path:
    """An empty file in the place of a job's mask: the list is read without opening any."""
    path = folder / f"job-{case}" / "output" / output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_only_mask_of_a_job_belongs_to_the_case_of_its_input(tmp_path: Path) -> None:
    mask = put(tmp_path, "a", "0.mha")
    put(tmp_path, "a", ".hidden.mha")
    put(tmp_path, "a", "log.txt")
    assert read_jobs(submit(tmp_path, [job("a")])) == Submission({"a": mask}, {})


def test_a_job_with_no_mask_or_two_costs_its_case_alone(tmp_path: Path) -> None:
    mask = put(tmp_path, "a", "0.mha")
    put(tmp_path, "b", "0.mha")
    put(tmp_path, "b", "1.nii.gz")
    found = read_jobs(submit(tmp_path, [job("a"), job("b"), job("c")]))
    assert found.masks == {"a": mask}
    assert found.problems["b"].endswith("expected one mask, found 0.mha, 1.nii.gz")
    assert found.problems["c"].endswith("expected one mask, found none")


def test_jobs_of_one_case_cost_it(tmp_path: Path) -> None:
    put(tmp_path, "a", "0.mha")
    found = read_jobs(submit(tmp_path, [job("a"), job("a"), job("a")]))
    assert found.masks == {}
    assert "more than one job is of this case" in found.problems["a"]


def test_the_input_that_is_called_like_a_t2_tells_the_case(tmp_path: Path) -> None:
    mask = put(tmp_path, "a", "0.mha")
    with_t1 = job("a")
    with_t1["inputs"].append({"image": {"name": "a_ceT1.nii.gz"}, "socket": {"slug": "t1"}})
    assert read_jobs(submit(tmp_path, [with_t1])).masks == {"a": mask}


def test_of_several_image_outputs_the_slug_names_one(tmp_path: Path) -> None:
    put(tmp_path, "a", "0.mha")
    heat = put(tmp_path, "a", "h.mha", "images/heat")
    several = job("a")
    several["outputs"].append({"image": {}, "socket": {"slug": "heat", "relative_path": "images/heat"}})
    listing = submit(tmp_path, [several])
    assert read_jobs(listing, "heat").masks == {"a": heat}
    with pytest.raises(InputError, match="name it by its slug"):
        read_jobs(listing)


def changed(change: Callable[[list], object]) -> list:
    jobs = [job("a"), job("b")]
    change(jobs)
    return copy.deepcopy(jobs)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda jobs: jobs[0].update(pk="../../etc"), "lies outside the submission"),
        (lambda jobs: jobs[0].update(pk="/etc"), "lies outside the submission"),
        (lambda jobs: jobs[0]["outputs"][0]["socket"].update(relative_path="../../../etc"), "lies outside"),
        (lambda jobs: jobs[0].pop("outputs"), "KeyError: 'outputs'"),
        (lambda jobs: jobs[0]["inputs"].clear(), "expected one"),
        (lambda jobs: jobs[0]["outputs"].clear(), "expected one"),
        (lambda jobs: jobs.append(1), "not a list of jobs"),
    ],
)
def test_a_list_that_does_not_fit_is_named(change: Callable, named: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"predictions\.json: not a list of jobs.*{named}|{named}"):
        read_jobs(submit(tmp_path, changed(change)))


@pytest.mark.parametrize(
    "text", ["", "{}x", '{"a": 1}', "[1]", '[{"pk": 1}]', '[{"pk": 1, "inputs": [], "outputs": []}]']
)
def test_a_listing_of_another_form_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / LISTING).write_text(text)
    with pytest.raises(InputError, match=r"predictions\.json: not a list of jobs"):
        read_jobs(tmp_path / LISTING)


def test_a_link_out_of_the_submission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "output" / "images" / "vs").mkdir(parents=True)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "job-a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lies outside the submission"):
        read_jobs(submit(tmp_path / "in", [job("a")]))
