"""Scores of whole folders: the files, the empty rules, the command."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import reported_spacing
from evaluation.scoring import folder as scoring
from evaluation.scoring.folder import score_folder
from evaluation.scoring.scores import summarise
from vestibule.cli import main


def row(case: str, structure: str, dice: float, assd_mm: float) -> dict:
    return {"case": case, "structure": structure, "dice": dice, "assd_mm": assd_mm}


def read_csv(path: Path) -> list[dict]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def strict_json(path: Path) -> dict:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} in JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_summary_has_mean_sample_deviation_median_and_the_count_above_0_8() -> None:
    summary = summarise([row("a", "vs", 0.8, 1.0), row("b", "vs", 0.9, 2.0), row("c", "vs", 0.4, 6.0)])
    assert summary["vs"]["dice"] == pytest.approx(
        {"mean": 0.7, "std": math.sqrt(0.07), "median": 0.8, "over_0_8": 1}, abs=1e-12
    )
    assert summary["vs"]["assd_mm"] == pytest.approx({"mean": 3.0, "std": math.sqrt(7.0), "median": 2.0})


def test_one_case_has_no_deviation() -> None:
    assert summarise([row("a", "cochlea", 0.5, 1.0)])["cochlea"]["dice"]["std"] == 0.0


def test_nothing_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no scores"):
        summarise([])


def test_identical_masks_score_1_in_every_edition(save, labels, tmp_path: Path) -> None:
    for year in (2021, 2022, 2023):
        values = np.where(labels == 2, 3, labels).astype(np.uint8) if year == 2023 else labels
        for folder in ("p", "r"):
            save(f"{folder}{year}", "case_1", values, edition=year)
        scores = score_folder(tmp_path / f"p{year}", tmp_path / f"r{year}", tmp_path / "out", year)
        assert {r["structure"]: (r["dice"], r["assd_mm"]) for r in scores.rows[:2]} == {
            "vs": (1.0, 0.0),
            "cochlea": (1.0, 0.0),
        }


def test_files_have_the_platforms_shape_and_the_papers_columns(save, labels, tmp_path: Path) -> None:
    for case in ("crossmoda2021_ldn_1", "crossmoda2022_etz_1"):
        save("r", case, labels)
    save("p", "crossmoda2021_ldn_1", labels)
    save("p", "crossmoda2022_etz_1", np.roll(labels, 1, axis=2))
    score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out" / "new", 2022)
    rows = read_csv(tmp_path / "out" / "new" / "cases.csv")
    assert list(rows[0])[:4] == ["case", "structure", "dice", "assd_mm"]
    assert [(r["case"], r["structure"]) for r in rows] == [
        (case, structure) for case in ("crossmoda2021_ldn_1", "crossmoda2022_etz_1") for structure in ("vs", "cochlea")
    ]
    metrics = strict_json(tmp_path / "out" / "new" / "metrics.json")
    assert metrics["mode"] == "default"
    assert metrics["case"]["case"] == {"0": "crossmoda2021_ldn_1", "1": "crossmoda2022_etz_1"}
    assert metrics["case"]["vs_dice"] == pytest.approx({"0": 1.0, "1": 2 / 3})
    assert float(rows[2]["dice"]) == metrics["case"]["vs_dice"]["1"]
    assert set(metrics["aggregates"]["vs_assd_mm"]) == {"count", "mean", "std", "min", "25pc", "50pc", "75pc", "max"}
    assert metrics["aggregates"]["vs_dice"]["mean"] == pytest.approx(5 / 6)


def test_a_broken_and_a_missing_prediction_cost_their_own_cases(save, labels, tmp_path: Path) -> None:
    for case in ("a", "b", "c"):
        save("r", case, labels)
    save("p", "a", labels)
    save("p", "b", labels).write_bytes(b"broken")
    scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022, "challenge")
    assert [(r["case"], r["dice"], r["assd_mm"]) for r in scores.rows if r["structure"] == "vs"] == [
        ("a", 1.0, 0.0),
        ("b", 0.0, 350.0),
        ("c", 0.0, 350.0),
    ]
    assert set(strict_json(tmp_path / "out" / "metrics.json")["scored_as_empty"]) == {"b", "c"}


@pytest.mark.parametrize(
    ("in_prediction", "in_reference", "mode", "expected"),
    [
        (False, False, "default", (1.0, 0.0)),
        (False, True, "default", (0.0, math.hypot(12.0, 6.0, 4.0))),
        (True, False, "default", (0.0, math.hypot(12.0, 6.0, 4.0))),
        (False, False, "challenge", (0.0, 350.0)),
        (False, True, "challenge", (0.0, 350.0)),
        (True, False, "challenge", (0.0, 350.0)),
    ],
)
def test_empty_rules(in_prediction, in_reference, mode, expected, save, labels, tmp_path: Path) -> None:
    without = np.where(labels == 1, 0, labels).astype(np.uint8)
    save("p", "a", labels if in_prediction else without)
    save("r", "a", labels if in_reference else without)
    scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022, mode)
    assert (scores.rows[0]["dice"], scores.rows[0]["assd_mm"]) == pytest.approx(expected)
    assert scores.rows[1]["dice"] == 1.0


def test_the_challenge_reads_the_spacing_off_the_affine(geometry, save, labels, tmp_path: Path) -> None:
    cosine, sine = math.cos(math.radians(30)), math.sin(math.radians(30))
    tilted = replace(geometry, direction=(1.0, 0.0, 0.0, 0.0, cosine, -sine, 0.0, sine, cosine))
    assert reported_spacing(tilted, "default") == geometry.spacing_zyx
    assert reported_spacing(tilted, "challenge") == pytest.approx((1.5 * cosine, 0.5 * cosine, 0.4))
    save("r", "a", labels, tilted)
    save("p", "a", np.roll(labels, 4, axis=0), tilted)
    default = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022)
    challenge = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022, "challenge")
    assert challenge.rows[1]["assd_mm"] < default.rows[1]["assd_mm"]
    assert "affine's diagonal" in challenge.notes["a"][0]
    assert default.notes == {}


def two_parts() -> np.ndarray:
    """A tumour whose extra-meatal part (1) ends at x = 4 and whose intra-meatal part (2) ends at x = 7."""
    mask = np.zeros((8, 12, 10), dtype=np.uint8)
    mask[2:5, 3:6, 2:5], mask[2:5, 3:6, 5:8], mask[6, 9, 9] = 1, 2, 3
    return mask


def test_2023_scores_the_two_parts_and_the_boundary_between_them(save, tmp_path: Path) -> None:
    moved = np.where((two_parts() == 2) & (np.arange(10) == 5), 1, two_parts()).astype(np.uint8)
    save("p", "case", moved, edition=2023)
    save("r", "case", two_parts(), edition=2023)
    for mode in ("default", "challenge"):
        scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2023, mode)
        by_structure = {r["structure"]: r for r in scores.rows}
        assert list(by_structure) == ["vs", "cochlea", "vs_extrameatal", "vs_intrameatal"]
        assert by_structure["vs"]["dice"] == 1.0
        assert by_structure["vs_extrameatal"]["dice"] == pytest.approx(2 * 27 / (27 + 36))
        # Two layers of voxels, one of which the two boundaries share; the other is a voxel of 0.4 mm away.
        assert by_structure["vs"]["boundary_assd_mm"] == pytest.approx(0.2)
    assert read_csv(tmp_path / "out" / "cases.csv")[1]["boundary_assd_mm"] == ""
    assert strict_json(tmp_path / "out" / "metrics.json")["aggregates"]["vs_boundary_assd_mm"]["count"] == 1


def test_volumes_are_in_mm3_and_parts_are_counted(save, labels, tmp_path: Path) -> None:
    one_side = labels.copy()
    one_side[4:6, 2:4, 1:3] = 2
    false_alarm = labels.copy()
    false_alarm[7, 0, 0] = 1
    save("p", "a", false_alarm)
    save("r", "a", one_side)
    scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022)
    vs, cochlea = scores.rows
    assert (vs["volume_mm3"], vs["reference_volume_mm3"]) == pytest.approx((19 * 0.3, 18 * 0.3))
    assert vs["volume_error_mm3"] == pytest.approx(0.3)
    assert (vs["components"], vs["components_found"], vs["components_false"]) == (1, 1, 1)
    assert (cochlea["components"], cochlea["components_found"], cochlea["components_false"]) == (2, 1, 0)
    assert strict_json(tmp_path / "out" / "metrics.json")["detection"]["cochlea"] == {
        "cases": 1,
        "cases_found": 1,
        "components": 2,
        "components_found": 1,
        "components_false": 0,
    }


def test_several_processes_find_what_one_finds(save, labels, tmp_path: Path) -> None:
    for number in range(3):
        save("r", f"case_{number}", labels)
        save("p", f"case_{number}", np.roll(labels, number, axis=1))
    told = []
    alone = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "one", 2022)
    shared = score_folder(
        tmp_path / "p", tmp_path / "r", tmp_path / "two", 2022, workers=2, on_case=lambda *count: told.append(count)
    )
    assert shared == alone
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_prediction_that_kills_its_reader_costs_its_own_case(save, labels, tmp_path: Path, monkeypatch) -> None:
    for case in ("a", "b"):
        for folder in ("p", "r"):
            save(folder, case, labels)

    def dies_over_b(function, pairs, workers):
        return ((pair, None if pair.case == "b" else function(pair)) for pair in pairs)

    monkeypatch.setattr(scoring, "each_in_a_process", dies_over_b)
    scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022, workers=2)
    assert [r["dice"] for r in scores.rows] == [1.0, 1.0, 0.0, 0.0]
    assert "b_Label.nii.gz: the process that read it died" in scores.problems["b"]


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", "evaluate", *map(str, arguments), "--no-report"])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_json_without_a_file_takes_the_place_of_the_text(save, labels, tmp_path, monkeypatch, capsys) -> None:
    for folder in ("p", "r"):
        save(folder, "a", labels)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    assert run(monkeypatch, *folders, "--edition", "2022", "--workers", "1", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert run(monkeypatch, *folders, "--edition", "2022", "--workers", "1", "--json", tmp_path / "m.json") == 0
    assert "1.00 ± 0.00 (1.00)" in capsys.readouterr().out
    assert json.loads((tmp_path / "m.json").read_text()) == printed


def test_the_command_prints_the_table_and_returns_0(save, labels, tmp_path, monkeypatch, capsys) -> None:
    for folder in ("p", "r"):
        save(folder, "a", labels)
    save("p", "b", labels)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    assert run(monkeypatch, *folders, "--edition", "2022", "--mode", "challenge", "--workers", "1") == 0
    out, err = capsys.readouterr()
    assert "1.00 ± 0.00 (1.00)" in out
    assert "mode challenge" in out
    assert "extra: b_Label.nii.gz" in err


def test_the_command_returns_1_and_names_the_case_in_its_last_line(save, labels, tmp_path, monkeypatch, capsys) -> None:
    for case in ("a", "b"):
        save("r", case, labels)
    save("p", "a", labels)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    assert run(monkeypatch, *folders, "--edition", "2022", "--workers", "1") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "vestibule: error: 1 of 2 cases without a usable prediction, scored as empty: b"
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_the_command_takes_the_label_of_the_part_in_the_canal(save, tmp_path, monkeypatch) -> None:
    save("p", "case", np.where(two_parts() == 2, 0, two_parts()).astype(np.uint8), edition=2023)
    save("r", "case", two_parts(), edition=2023)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    for label, dice in (("2", 0.0), ("1", 1.0)):
        assert run(monkeypatch, *folders, "--edition", "2023", "--intrameatal", label, "--workers", "1") == 0
        metrics = strict_json(tmp_path / "out" / "metrics.json")
        assert metrics["case"]["vs_intrameatal_dice"]["0"] == dice


def save_2023(save) -> None:
    for folder in ("p", "r"):
        save(folder, "crossmoda2023_etz_7", two_parts(), edition=2023)


def test_the_edition_is_told_by_the_case_names(save, tmp_path, monkeypatch) -> None:
    save_2023(save)
    assert run(monkeypatch, tmp_path / "p", tmp_path / "r", tmp_path / "out", "--workers", "1") == 0
    metrics = strict_json(tmp_path / "out" / "metrics.json")
    assert metrics["edition"] == 2023
    for structure in ("vs", "cochlea", "vs_extrameatal", "vs_intrameatal"):
        assert metrics["case"][f"{structure}_dice"] == {"0": 1.0}


def test_an_edition_that_the_case_names_contradict_is_refused(save, tmp_path, monkeypatch, capsys) -> None:
    save_2023(save)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    assert run(monkeypatch, *folders, "--edition", "2022", "--workers", "1") == 1
    assert "called as those of edition 2023" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_edition_that_nothing_tells_must_be_given(save, labels, tmp_path, monkeypatch, capsys) -> None:
    for folder in ("p", "r"):
        save(folder, "patient_7", labels)
    assert run(monkeypatch, tmp_path / "p", tmp_path / "r", tmp_path / "out", "--workers", "1") == 1
    assert "'patient_7', do not tell the edition" in capsys.readouterr().err


def test_a_reference_with_a_label_that_the_edition_does_not_have_stops_the_evaluation(
    save, tmp_path, monkeypatch, capsys
) -> None:
    for folder in ("p", "r"):
        save(folder, "patient_7", two_parts(), edition=2023)
    folders = tmp_path / "p", tmp_path / "r", tmp_path / "out"
    assert run(monkeypatch, *folders, "--edition", "2022", "--workers", "1") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    reference = tmp_path / "r" / "patient_7.nii.gz"
    assert last.startswith(f"vestibule: error: {reference}: holds 3, which is no label of edition 2022 (0, 1, 2)")
    assert not (tmp_path / "out").exists()


def test_a_prediction_with_a_label_that_the_edition_does_not_have_counts_as_empty(save, labels, tmp_path) -> None:
    for case in ("a", "b"):
        save("r", case, labels)
    save("p", "a", np.where(labels == 2, 3, labels).astype(np.uint8))
    save("p", "b", labels)
    scores = score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022)
    assert [row["dice"] for row in scores.rows] == [0.0, 0.0, 1.0, 1.0]
    assert list(scores.problems) == ["a"]
    assert "a_Label.nii.gz: holds 3, which is no label of edition 2022" in scores.problems["a"]


def test_the_command_returns_2_for_wrong_usage(tmp_path, monkeypatch) -> None:
    assert run(monkeypatch, tmp_path, tmp_path, tmp_path, "--mode", "median") == 2
