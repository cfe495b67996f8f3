"""A second metric of which more is better: one entry of METRICS, and every table, file, ranking and page has it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import METRICS, MaskPair, Metric
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2021)
GEOMETRY = Geometry((8, 12, 10), (1.5, 0.5, 0.4), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
CASES = ("crossmoda2021_ldn_1", "crossmoda2021_ldn_2", "crossmoda2021_ldn_3")


def sensitivity(pair: MaskPair) -> float:
    """The part of the reference that was found."""
    return np.count_nonzero(pair.prediction & pair.reference) / pair.reference_voxels


def sensitivity_when_empty(pair: MaskPair) -> float:
    """An empty reference is found whole in the default mode."""
    return float(pair.reference_voxels == 0 and pair.mode == "default")


SENSITIVITY = Metric(
    key="sensitivity",
    label="sensitivity",
    unit="",
    digits=3,
    higher_is_better=True,
    compute=sensitivity,
    when_empty=sensitivity_when_empty,
    headline=True,
    limits=(0.0, 1.0),
)


def masks() -> dict[str, np.ndarray]:
    """Labels (Z, Y, X): a tumour of 18 voxels, of which `narrow` has 9 and `wide` all and 18 more."""
    reference = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    reference[2:4, 3:6, 2:5] = 1
    reference[4:6, 8:10, 6:8] = 2
    narrow, wide = reference.copy(), reference.copy()
    narrow[3, 3:6, 2:5] = 0
    wide[2:4, 3:6, 5:8] = 1
    return {"references": reference, "narrow": narrow, "wide": wide}


def run(monkeypatch, *arguments: object) -> None:
    """A public command in this process, which alone knows the new metric."""
    monkeypatch.setattr("sys.argv", ["vestibule", *map(str, arguments)])
    monkeypatch.setattr("evaluation.scoring.processes.default_workers", lambda items: None)
    main()


@pytest.fixture
def scored(tmp_path: Path, monkeypatch) -> Path:
    """The folder in which `scores/narrow` and `scores/wide` hold what `vestibule evaluate` wrote."""
    monkeypatch.setitem(METRICS, SENSITIVITY.key, SENSITIVITY)
    for folder, labels in masks().items():
        for case in CASES:
            write_volume(tmp_path / folder / EDITION.prediction_name(case), Volume(labels, GEOMETRY))
    for arm in ("narrow", "wide"):
        folders = tmp_path / arm, tmp_path / "references", tmp_path / "scores" / arm
        run(monkeypatch, "evaluate", *folders)
    return tmp_path / "scores"


def test_scores_and_their_files_have_it(scored: Path) -> None:
    with (scored / "narrow" / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[-1] == "sensitivity"
    assert [float(row["sensitivity"]) for row in rows[:2]] == [0.5, 1.0]
    assert float(rows[0]["dice"]) == pytest.approx(2 * 9 / (9 + 18))
    metrics = json.loads((scored / "narrow" / "metrics.json").read_text())
    assert metrics["case"]["vs_sensitivity"] == {"0": 0.5, "1": 0.5, "2": 0.5}
    assert metrics["aggregates"]["vs_sensitivity"]["mean"] == 0.5
    assert metrics["summary"]["vs"]["sensitivity"] == {"mean": 0.5, "std": 0.0, "median": 0.5}


def test_table_1_has_it(scored: Path, monkeypatch) -> None:
    arms = [f"{arm}={scored / arm}" for arm in ("narrow", "wide")]
    run(monkeypatch, "table1", *arms, "--json", scored / "t.json", "--markdown", scored / "t.md")
    lines = (scored / "t.md").read_text().splitlines()
    assert lines[0] == "| arm | structure | Dice | cases > 0.8 | ASSD (mm) | sensitivity |"
    assert lines[2].startswith("| narrow | VS | 0.67 ± 0.00 (0.67) | 0 |")
    assert lines[2].endswith("| 0.50 ± 0.00 (0.50) |")
    assert json.loads((scored / "t.json").read_text())["arms"]["wide"]["vs"]["sensitivity"]["mean"] == 1.0


def test_statistics_take_more_of_it_for_better(scored: Path, monkeypatch) -> None:
    arms = [f"{arm}={scored / arm}" for arm in ("narrow", "wide")]
    run(monkeypatch, "statistics", *arms, "--json", scored / "s.json", "--draws", 100)
    document = json.loads((scored / "s.json").read_text())
    group = document["groups"]["narrow"][0]
    assert group["structure"] == "vs"
    assert group["sensitivity"]["mean"] == 0.5
    found = {(item["structure"], item["metric"]): item for item in document["comparisons"]["wide - narrow"]}
    assert found["vs", "sensitivity"]["difference"] == pytest.approx(0.5)
    assert (found["vs", "sensitivity"]["better"], found["vs", "sensitivity"]["worse"]) == (3, 0)
    # 2 * 9 / (9 + 18) and 2 * 18 / (36 + 18) are the same.
    assert found["vs", "dice"]["difference"] == pytest.approx(0.0)


def test_a_ranking_takes_more_of_it_for_better(scored: Path, monkeypatch, capsys) -> None:
    capsys.readouterr()
    own = "--add", scored / "wide" / "cases.csv", "--name", "wide"
    run(monkeypatch, "rank", scored / "narrow" / "cases.csv", *own, "--bootstraps", 0, "--json")
    teams = {team["team"]: team for team in json.loads(capsys.readouterr().out)["ranking"]}
    # The tumour tells the two apart, the cochlea is equal: (2 + 1) / 2 and (1 + 1) / 2.
    assert teams["cases"]["cumulative_rank_of"]["sensitivity"] == 1.5
    assert teams["wide"]["cumulative_rank_of"]["sensitivity"] == 1.0


def test_the_page_has_it_and_sorts_the_least_first(scored: Path) -> None:
    page = (scored / "narrow" / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r'data-kind="number" data-worst="(\w+)">([^<]+)</button>', page)
    assert ("low", "VS sensitivity") in headings
    assert ("low", "VS Dice") in headings
    assert ("high", "VS ASSD (mm)") in headings
    assert 'aria-label="VS sensitivity"' in page
    assert '<td data-value="0.5">0.500</td>' in page
    assert '<th scope="col">sensitivity</th>' in page


def test_an_empty_prediction_has_the_value_that_its_metric_gives(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(METRICS, SENSITIVITY.key, SENSITIVITY)
    reference = masks()["references"]
    for folder, labels in (("p", np.zeros_like(reference)), ("r", reference)):
        write_volume(tmp_path / folder / EDITION.prediction_name(CASES[0]), Volume(labels, GEOMETRY))
    run(monkeypatch, "evaluate", tmp_path / "p", tmp_path / "r", tmp_path / "out", "--no-report")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["case"]["vs_sensitivity"] == {"0": 0.0}
