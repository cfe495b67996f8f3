"""The organiser's container: the platform's jobs, a folder of masks and several teams are scored by case."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.platform import container
from evaluation.platform.container import evaluate_input, serves_evaluation
from evaluation.platform.grand_challenge import MaskEvaluation
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2022)
GEOMETRY = Geometry((8, 16, 16), (1.5, 1.0, 1.0), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
CASES = ("crossmoda2021_ldn_2", "crossmoda2022_etz_1")


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


def test_a_job_with_two_masks_costs_its_own_case(tmp_path, references, capsys):
    folder = platform_input(tmp_path / "in")
    write_volume(folder / "job-0" / "output" / "images" / "vs" / "b.mha", mask())
    metrics = run(folder, references, tmp_path / "out")
    assert metrics["case"]["vs_dice"] == {"0": 0.0, "1": 1.0}
    assert list(metrics["scored_as_empty"]) == [CASES[0]]
    assert "expected one mask, found 0.mha, b.mha" in metrics["scored_as_empty"][CASES[0]]
    assert "expected one mask, found 0.mha, b.mha" in capsys.readouterr().err


def test_both_ways_in_read_a_submission_alike(tmp_path, references):
    folder = platform_input(tmp_path / "in")
    write_volume(folder / "job-0" / "output" / "images" / "vs" / "b.mha", mask())
    (folder / "job-1" / "output" / "images" / "vs" / "1.mha").write_bytes(b"broken")
    image = run(folder, references, tmp_path / "out")
    MaskEvaluation(
        edition=EDITION,
        ground_truth_path=references,
        predictions_path=folder,
        output_file=tmp_path / "class" / "metrics.json",
    ).evaluate()
    assert json.loads((tmp_path / "class" / "metrics.json").read_text()) == image


def test_a_link_into_the_references_is_refused(tmp_path, references):
    folder = platform_input(tmp_path / "in")
    path = folder / "job-0" / "output" / "images" / "vs" / "0.mha"
    path.unlink()
    path.with_name("0.nii.gz").symlink_to(references / EDITION.label_name(CASES[0]))
    problems = run(folder, references, tmp_path / "out")["scored_as_empty"]
    assert "link into the references" in problems[CASES[0]]


def test_a_hard_link_to_a_reference_is_refused_in_jobs_and_by_the_class(tmp_path, references):
    folder = platform_input(tmp_path / "in")
    path = folder / "job-0" / "output" / "images" / "vs" / "0.mha"
    path.unlink()
    path.with_name("0.nii.gz").hardlink_to(references / EDITION.label_name(CASES[0]))
    problems = run(folder, references, tmp_path / "out")["scored_as_empty"]
    assert "the same file as the reference" in problems[CASES[0]]

    output_file = tmp_path / "class" / "metrics.json"
    evaluation = MaskEvaluation(
        edition=EDITION, ground_truth_path=references, predictions_path=folder, output_file=output_file
    )
    evaluation.evaluate()
    problems = json.loads(output_file.read_text())["scored_as_empty"]
    assert "the same file as the reference" in problems[CASES[0]]


@pytest.mark.parametrize("kind", ["a folder", "links", "hard links"])
def test_a_team_that_leads_to_the_references_scores_nothing(tmp_path, references, kind):
    team = tmp_path / "in" / "b"
    for case in CASES:
        write_volume(tmp_path / "in" / "a" / EDITION.prediction_name(case), mask(1))
    if kind == "a folder":
        team.symlink_to(references)
    else:
        team.mkdir()
        for reference in references.iterdir():
            link = team / reference.name
            (link.symlink_to if kind == "links" else link.hardlink_to)(reference)
    run(tmp_path / "in", references, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "b" / "metrics.json").read_text())
    assert metrics["aggregates"]["vs_dice"]["max"] == 0
    ranking = json.loads((tmp_path / "out" / "ranking.json").read_text())["ranking"]
    assert [place["team"] for place in ranking] == ["a", "b"]


def test_one_worker_needs_no_memory_that_processes_share(tmp_path, references, monkeypatch):
    def refused(self):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Lock", refused)
    folder = platform_input(tmp_path / "in")
    with pytest.raises(InputError, match=r"/dev/shm: .*--workers 1"):
        run(folder, references, tmp_path / "out")
    monkeypatch.setenv("VESTIBULE_WORKERS", "1")
    assert run(folder, references, tmp_path / "out")["aggregates"]["cochlea_dice"]["mean"] == 1.0


def test_a_mask_of_a_case_without_reference_is_named_and_not_scored(tmp_path, references):
    (references / EDITION.label_name(CASES[1])).unlink()
    metrics = run(platform_input(tmp_path / "in"), references, tmp_path / "out")
    assert metrics["case"]["case"] == {"0": CASES[0]}
    assert metrics["extra"] == [CASES[1]]


def test_jobs_of_other_cases_than_the_references_are_refused(tmp_path, references):
    for case in CASES:
        (references / EDITION.label_name(case)).unlink()
    write_volume(references / EDITION.label_name("crossmoda2022_etz_9"), mask())
    with pytest.raises(InputError, match="none of its 2 jobs is of a case"):
        run(platform_input(tmp_path / "in"), references, tmp_path / "out")


def test_the_edition_is_told_by_the_references_names(tmp_path):
    # In 2023 the cochlea is label 3; read as an edition of {1, 2} it would be no structure at all.
    edition = get_edition(2023)
    volume = mask()
    volume.voxels[volume.voxels == 2] = 3
    for folder, name in (("references", edition.label_name), ("in", edition.prediction_name)):
        write_volume(tmp_path / folder / name("crossmoda2023_etz_1"), volume)
    metrics = run(tmp_path / "in", tmp_path / "references", tmp_path / "out")
    assert metrics["edition"] == 2023
    assert metrics["aggregates"]["cochlea_dice"]["mean"] == 1.0


def test_an_edition_that_the_names_contradict_is_refused(tmp_path, references, monkeypatch):
    monkeypatch.setenv("VESTIBULE_EDITION", "2023")
    with pytest.raises(InputError, match="leave out --edition"):
        run(platform_input(tmp_path / "in"), references, tmp_path / "out")


def test_an_edition_that_no_name_tells_must_be_given(tmp_path, monkeypatch):
    for folder in ("in", "references"):
        write_volume(tmp_path / folder / "patient1_Label.nii.gz", mask())
    with pytest.raises(InputError, match="give one with --edition"):
        run(tmp_path / "in", tmp_path / "references", tmp_path / "out")
    monkeypatch.setenv("VESTIBULE_EDITION", "2022")
    assert run(tmp_path / "in", tmp_path / "references", tmp_path / "out")["edition"] == 2022


def test_a_plain_folder_is_scored(tmp_path, references):
    for case in CASES:
        write_volume(tmp_path / "in" / EDITION.prediction_name(case), mask())
    assert run(tmp_path / "in", references, tmp_path / "out")["aggregates"]["cochlea_dice"]["mean"] == 1.0


def test_a_team_without_a_usable_mask_stops_no_other(tmp_path, references, capsys):
    for case in CASES:
        write_volume(tmp_path / "in" / "good" / EDITION.prediction_name(case), mask())
    (tmp_path / "in" / "bad.zip").write_text("no zip")
    with pytest.raises(InputError, match=r"1 of 2 teams failed, scored as empty .* bad: .*not a whole zip file"):
        run(tmp_path / "in", references, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [(team["place"], team["team"]) for team in document["ranking"]] == [(1, "good"), (2, "bad")]
    assert document["ranking"][1]["mean"]["vs_assd_mm"] == 350
    assert document["failed"][0]["place"] == 2


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
    ("api", "files", "served"),
    [
        ("auto", ["predictions.json"], True),
        ("auto", [], True),
        ("auto", ["crossmoda2021_ldn_1_Label.nii.gz"], False),
        ("auto", ["team/crossmoda2021_ldn_1_Label.nii.gz"], False),
        ("exec", ["predictions.json"], False),
        ("invoke", ["crossmoda2021_ldn_1_Label.nii.gz"], True),
    ],
)
def test_what_lies_in_the_input_tells_what_is_asked(tmp_path, api, files, served):
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert serves_evaluation(api, tmp_path) == served


def test_each_request_scores_what_then_lies_in_the_input(tmp_path, references, monkeypatch):
    asked = []
    monkeypatch.setattr(container, "serve", lambda invoke, report: asked.append(invoke))
    source, out = tmp_path / "in", tmp_path / "out"
    arguments = ["--input", str(source), "--references", str(references), "--output", str(out), "--api", "auto"]
    source.mkdir()
    evaluate_input.main(arguments, standalone_mode=False)
    (invoke,) = asked
    with pytest.raises(InputError, match="none of its 0 masks"):
        invoke()
    for shift, dice in ((0, 1.0), (1, 0.75)):
        shutil.rmtree(source)
        platform_input(source, shift=shift)
        invoke()
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics["aggregates"]["vs_dice"]["mean"] == pytest.approx(dice)
