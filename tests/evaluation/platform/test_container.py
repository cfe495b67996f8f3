"""The organiser's container: the platform's jobs, a folder of masks and several teams are scored by case."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.platform.container import evaluate_input, gather_jobs
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2022)
GEOMETRY = Geometry((8, 16, 16), (1.5, 1.0, 1.0), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CASES = ("crossmoda2022_etz_1", "crossmoda2022_ldn_2")


def mask(shift: int = 0) -> Volume:
    voxels = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    voxels[2:5, 3 + shift : 7 + shift, 3:7] = 1
    voxels[2:4, 10:12, 10:12] = 2
    return Volume(voxels, GEOMETRY)


@pytest.fixture
def references(tmp_path) -> Path:
    for case in CASES:
        write_volume(tmp_path / "references" / EDITION.label_name(case), mask())
    return tmp_path / "references"


def platform_input(folder: Path, key: str = "socket", shift: int = 0) -> Path:
    """Two jobs as the platform lists them; their masks are called otherwise than their cases."""
    jobs = []
    for number, case in enumerate(CASES):
        write_volume(folder / f"job-{number}" / "output" / "images" / "vs" / f"{number}.mha", mask(shift))
        image = {"image": {"name": EDITION.target_name(case)}, key: {"slug": "t2", "super_kind": "Image"}}
        output = {"image": {"name": "x"}, key: {"slug": "vs", "relative_path": "images/vs", "super_kind": "Image"}}
        results = {"value": {}, key: {"slug": "results", "super_kind": "Value"}}
        jobs.append({"pk": f"job-{number}", "inputs": [image], "outputs": [output, results]})
    (folder / "predictions.json").write_text(json.dumps(jobs))
    return folder


def run(input_dir: Path, references: Path, output: Path) -> dict:
    arguments = ["--input", str(input_dir), "--references", str(references), "--output", str(output)]
    evaluate_input.main(arguments, standalone_mode=False)
    path = output / "metrics.json"
    return json.loads(path.read_text()) if path.is_file() else {}


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_jobs_are_joined_by_the_case_of_their_input(tmp_path, references, key):
    metrics = run(platform_input(tmp_path / "in", key), references, tmp_path / "out")
    assert metrics["case"]["case"] == {"0": CASES[0], "1": CASES[1]}
    assert metrics["aggregates"]["vs_dice"]["mean"] == 1.0


def test_a_job_without_a_mask_is_scored_as_empty(tmp_path, references, capsys):
    folder = platform_input(tmp_path / "in")
    (folder / "job-1" / "output" / "images" / "vs" / "1.mha").unlink()
    metrics = run(folder, references, tmp_path / "out")
    assert metrics["case"]["vs_dice"] == {"0": 1.0, "1": 0.0}
    assert metrics["case"]["vs_assd_mm"]["1"] == 350.0
    assert CASES[1] in capsys.readouterr().err


def test_a_plain_folder_is_scored(tmp_path, references):
    for case in CASES:
        write_volume(tmp_path / "in" / EDITION.prediction_name(case), mask())
    assert run(tmp_path / "in", references, tmp_path / "out")["aggregates"]["cochlea_dice"]["mean"] == 1.0


def test_teams_are_ranked(tmp_path, references, capsys):
    for shift, team in enumerate(("first", "second", "third")):
        for case in CASES:
            write_volume(tmp_path / "in" / team / EDITION.prediction_name(case), mask(shift))
    run(tmp_path / "in", references, tmp_path / "out")
    ranking = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [team["team"] for team in ranking["ranking"]] == ["first", "second", "third"]
    assert (tmp_path / "out" / "second" / "metrics.json").is_file()
    assert "1. first" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda jobs: jobs[0].update(pk="../../etc"), "lies outside"),
        (lambda jobs: jobs[0]["outputs"][0]["socket"].update(relative_path="../../../etc"), "lies outside"),
        (lambda jobs: jobs[0].pop("outputs"), "not a list of jobs"),
        (lambda jobs: jobs[0]["inputs"].clear(), "expected one"),
        (lambda jobs: jobs[1].update(inputs=jobs[0]["inputs"]), "two jobs are of case"),
    ],
)
def test_a_list_of_jobs_that_does_not_fit_is_named(tmp_path, change, named):
    folder = platform_input(tmp_path / "in")
    jobs = json.loads((folder / "predictions.json").read_text())
    change(jobs)
    (folder / "predictions.json").write_text(json.dumps(jobs))
    (tmp_path / "gathered").mkdir()
    with pytest.raises(InputError, match=named):
        gather_jobs(folder, tmp_path / "gathered", EDITION)


def test_a_second_mask_of_a_job_is_named(tmp_path):
    folder = platform_input(tmp_path / "in")
    write_volume(folder / "job-0" / "output" / "images" / "vs" / "b.mha", mask())
    (tmp_path / "gathered").mkdir()
    with pytest.raises(InputError, match="expected one mask, found"):
        gather_jobs(folder, tmp_path / "gathered", EDITION)
