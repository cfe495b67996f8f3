"""Groups of cases, paired comparisons, and the commands that print them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from evaluation.reporting.outputs import read_rows
from evaluation.statistics import compare, comparison_table, group_summaries, group_table
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.errors import InputError


def rows_of(dices: dict[str, float], volumes: dict[str, float] | None = None) -> list[dict]:
    """Rows of `vs`, and of `cochlea` with Dice 0.5, for each case."""
    rows = []
    for case, dice in dices.items():
        row = {"case": case, "structure": "vs", "dice": dice, "assd_mm": 1 - dice}
        rows.append(row | ({"reference_volume_mm3": volumes[case]} if volumes else {}))
        rows.append({"case": case, "structure": "cochlea", "dice": 0.5, "assd_mm": 2.0})
    return rows


def save(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir()
    lines = [",".join(rows[0]), *(",".join(str(row.get(key, "")) for key in rows[0]) for row in rows)]
    (folder / "cases.csv").write_text("\n".join(lines))
    return folder


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


EDITION = get_edition(2022)
CASES = {"crossmoda2021_ldn_1": 0.9, "crossmoda2021_ldn_2": 0.7, "crossmoda2022_etz_1": 0.4}
VOLUMES = {"crossmoda2021_ldn_1": 5000.0, "crossmoda2021_ldn_2": 1000.0, "crossmoda2022_etz_1": 100.0}


def test_groups_are_all_cases_then_sites_then_sizes_of_the_tumour() -> None:
    summaries = group_summaries(rows_of(CASES, VOLUMES), EDITION)
    groups = [(item["group"], item["cases"]) for item in summaries if item["structure"] == "vs"]
    assert groups == [("all", 3), ("etz", 1), ("ldn", 2), ("small", 1), ("medium", 1), ("large", 1)]
    assert [item["group"] for item in summaries if item["structure"] == "cochlea"] == [name for name, _ in groups]


def test_a_group_has_quartiles_and_the_count_above_0_8() -> None:
    scores = group_summaries(rows_of(CASES), EDITION)[0]["dice"]
    assert (scores["quartile_1"], scores["median"], scores["quartile_3"]) == pytest.approx((0.55, 0.7, 0.8))
    assert scores["mean"] == pytest.approx(2 / 3)
    assert scores["over_0_8"] == 1


def test_a_single_site_and_unknown_sizes_make_no_groups() -> None:
    assert [item["group"] for item in group_summaries(rows_of({"a": 0.5, "b": 0.6}), EDITION)] == ["all", "all"]


def test_a_case_of_the_first_edition_is_from_its_only_site_as_in_training() -> None:
    rows = rows_of({"crossmoda_107": 0.5, "crossmoda2022_etz_1": 0.6})
    groups = [item["group"] for item in group_summaries(rows, get_edition(2021)) if item["structure"] == "vs"]
    assert groups == ["all", "etz", "ldn"]
    assert get_edition(2021).site_of("crossmoda_107") == "ldn"


def test_size_classes_are_the_editions_own() -> None:
    edition = replace(EDITION, size_limits_mm3=(50.0, 800.0))
    groups = [item["group"] for item in group_summaries(rows_of(CASES, VOLUMES), edition)]
    assert groups[3:5] == ["medium", "large"]


def test_a_comparison_tells_direction_interval_and_wilcoxon() -> None:
    generator = np.random.default_rng(0)
    first = {f"c{n}": float(value) for n, value in enumerate(generator.uniform(0.3, 0.7, 30))}
    second = {case: value + 0.1 + 0.02 * generator.standard_normal() for case, value in first.items()}
    dice, assd, *_ = compare(rows_of(first), rows_of(second))
    differences = np.array([second[case] - first[case] for case in first])
    assert dice["difference"] == pytest.approx(differences.mean())
    assert dice["wilcoxon_p"] == pytest.approx(wilcoxon(differences).pvalue)
    standard_error = differences.std() / np.sqrt(30)
    assert dice["interval_95"] == pytest.approx(
        [differences.mean() - 1.96 * standard_error, differences.mean() + 1.96 * standard_error], abs=0.002
    )
    assert (dice["better"], dice["worse"]) == (30, 0)
    assert (assd["better"], assd["difference"]) == (30, pytest.approx(-differences.mean()))


def test_equal_predictions_do_not_differ() -> None:
    for item in compare(rows_of(CASES), rows_of(CASES)):
        assert (item["difference"], item["interval_95"], item["wilcoxon_p"]) == (0.0, [0.0, 0.0], 1.0)
        assert (item["better"], item["worse"]) == (0, 0)


def test_sets_over_other_cases_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="crossmoda2022_etz_1 is in one alone"):
        compare(rows_of(CASES), rows_of({case: 0.5 for case in CASES if "ldn" in case}))


def test_tables_hold_every_group_and_pair() -> None:
    groups = group_table({"baseline": group_summaries(rows_of(CASES, VOLUMES), EDITION)}).markdown
    assert "| baseline | VS | ldn | 2 | 0.80 ± 0.14 (0.80) | 0.75 to 0.85 |" in groups
    better = {case: value + 0.05 for case, value in CASES.items()}
    table = comparison_table({"oneshot - baseline": compare(rows_of(CASES), rows_of(better))})
    assert "| oneshot - baseline | VS | Dice | 3 | +0.050 (+0.050 to +0.050) | 3 / 0 | 0.25 |" in table.markdown
    assert "\\begin{tabular}{lllrrrr}" in table.latex


def test_the_command_prints_and_writes_all_of_it(tmp_path: Path, monkeypatch, capsys) -> None:
    first = save(tmp_path / "a", rows_of(CASES, VOLUMES))
    second = save(tmp_path / "b", rows_of({case: value / 2 for case, value in CASES.items()}, VOLUMES))
    files = [tmp_path / "new" / name for name in ("s.json", "s.md", "s.tex")]
    options = [word for pair in zip(("--json", "--markdown", "--latex"), files, strict=True) for word in pair]
    assert run(monkeypatch, "statistics", f"one={first}", f"two={second}", *options, "--draws", "200") == 0
    assert "two - one" in capsys.readouterr().out
    document = json.loads(files[0].read_text())
    assert document["comparisons"]["two - one"][0]["worse"] == 3
    assert set(document["groups"]) == {"one", "two"}
    assert [line[:8] for line in files[1].read_text().splitlines()].count("| --- | ") == 2
    assert files[2].read_text().count("\\begin{tabular}") == 2


@pytest.mark.parametrize("command", ["statistics", "table1"])
def test_arms_must_be_named_folders(command: str, tmp_path: Path, monkeypatch, capsys) -> None:
    whole = save(tmp_path / "whole", rows_of(CASES))
    assert run(monkeypatch, command, "oneshot") == 2
    assert run(monkeypatch, command, f"a={whole}", f"a={whole}") == 2
    assert run(monkeypatch, command, f"a={tmp_path}") == 1
    assert "run vestibule evaluate first" in capsys.readouterr().err.splitlines()[-1]


def test_the_paper_table_of_two_arms_is_printed_and_written(tmp_path: Path, monkeypatch, capsys) -> None:
    arms = [f"one={save(tmp_path / 'a', rows_of(CASES))}", f"two={save(tmp_path / 'b', rows_of(CASES, VOLUMES))}"]
    options = "--json", tmp_path / "t.json", "--markdown", tmp_path / "new" / "t.md", "--latex", tmp_path / "t.tex"
    assert run(monkeypatch, "table1", *arms, *options) == 0
    assert "0.67 ± 0.25 (0.70)" in capsys.readouterr().out
    assert json.loads((tmp_path / "t.json").read_text())["arms"]["two"]["vs"]["dice"]["over_0_8"] == 1
    assert "| two | cochlea | 0.50 ± 0.00 (0.50) | 0 | 2.00 ± 0.00 (2.00) |" in (tmp_path / "new" / "t.md").read_text()
    latex = (tmp_path / "t.tex").read_text()
    assert "two & cochlea & 0.50 $\\pm$ 0.00 (0.50) & 0 & 2.00 $\\pm$ 0.00 (2.00) \\\\" in latex


def test_the_edition_of_unnamed_cases_is_that_of_the_scores_or_given(tmp_path: Path, monkeypatch, capsys) -> None:
    scores = save(tmp_path / "a", rows_of({"p1": 0.9, "p2": 0.8}))
    assert run(monkeypatch, "statistics", f"one={scores}") == 1
    assert "give one with --edition" in capsys.readouterr().err.splitlines()[-1]
    assert run(monkeypatch, "statistics", f"one={scores}", "--edition", "2023") == 0
    (scores / "metrics.json").write_text('{"edition": 2021}')
    assert run(monkeypatch, "statistics", f"one={scores}") == 0
    (scores / "metrics.json").write_text('{"edition": 1999}')
    assert run(monkeypatch, "statistics", f"one={scores}") == 1
    assert "metrics.json: edition must be one of" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", ["statistics", "table1"])
def test_an_edition_that_the_names_contradict_is_refused(command, tmp_path: Path, monkeypatch, capsys) -> None:
    scores = save(tmp_path / "a", rows_of(CASES))
    assert run(monkeypatch, command, f"one={scores}", "--edition", "2023") == 1
    assert "leave out --edition" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", ["statistics", "table1"])
def test_arms_that_were_scored_by_other_definitions_are_refused(command, tmp_path: Path, monkeypatch, capsys) -> None:
    folders = {name: save(tmp_path / name, rows_of(CASES)) for name in "abc"}
    arms = [f"{name}={folder}" for name, folder in folders.items()]

    def told(name: str, mode: str, edition: int) -> None:
        (folders[name] / "metrics.json").write_text(json.dumps({"mode": mode, "edition": edition}))

    # What is no year tells nothing.
    told("b", "default", [2022])
    told("a", "default", 2022)
    told("c", "challenge", 2022)
    assert run(monkeypatch, command, *arms) == 1
    assert "c was scored with --mode challenge, a with --mode default" in capsys.readouterr().err.splitlines()[-1]
    told("c", "default", 2023)
    assert run(monkeypatch, command, *arms) == 1
    assert "a with labels vs 1, cochlea 2" in capsys.readouterr().err.splitlines()[-1]
    # In one edition, which part is which can be chosen.
    for name, intrameatal in (("a", 1), ("c", 2)):
        labels = get_edition(2023).with_intrameatal(intrameatal).label_values()
        content = {"mode": "default", "edition": 2023, "labels": labels}
        (folders[name] / "metrics.json").write_text(json.dumps(content))
    assert run(monkeypatch, command, *arms) == 1
    assert "vs_intrameatal 2, a with labels" in capsys.readouterr().err.splitlines()[-1]
    told("a", "default", 2022)
    # The labels of 2021 and 2022 are the same, and a folder that does not tell is no contradiction.
    told("c", "default", 2021)
    assert run(monkeypatch, command, *arms) == 0


def test_a_single_case_has_an_interval_of_no_width() -> None:
    dice = compare(rows_of({"a": 0.5}), rows_of({"a": 0.75}))[0]
    assert (dice["difference"], dice["interval_95"]) == (0.25, [0.25, 0.25])


def test_arms_with_other_cases_end_in_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    arms = [f"one={save(tmp_path / 'a', rows_of(CASES))}", f"two={save(tmp_path / 'b', rows_of({'x': 0.1}))}"]
    assert run(monkeypatch, "statistics", *arms) == 1
    assert "is in one alone" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "text", ["case,structure,dice\na,vs,0.5\n", "case,structure,dice,assd_mm\na,vs,nan,1\n", "x\n1\n"]
)
def test_rows_that_are_no_scores_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError, match="not a table of scores"):
        read_rows(tmp_path)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,structure,dice,assd_mm\n")
    with pytest.raises(InputError, match="holds no scores"):
        read_rows(tmp_path)
