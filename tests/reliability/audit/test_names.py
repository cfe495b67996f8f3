"""Boundary: names. Whatever a file, a case, a team or a bundle is called, where it is shown it is text."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from contract.report import Report
from evaluation.reporting.report.page import write_report
from evaluation.reporting.table import TextTable
from evaluation.scoring.folder import score_folder
from evaluation.scoring.scores import Scores, summarise
from tests.reliability.audit.conftest import HOSTILE, STEERING
from vestibule.commands.options import write_result
from vestibule.csv_cells import escaped, unescaped
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.inputs import find_cases
from vestibule.manifest import check_manifest
from vestibule.text import shown
from vestibule.weights import open_bundle


def steers(text):
    """Whether text could steer a terminal."""
    return any(sign in text for sign in STEERING)


@pytest.mark.parametrize("sign", [*STEERING, "\x00", "\r", "\x7f", "\udcff"])
def test_what_steers_a_terminal_is_shown_as_an_escape(sign):
    assert sign not in shown(f"a{sign}b")
    assert shown(f"a{sign}b").startswith("a\\")
    assert sign not in str(InputError(f"a{sign}b: broken"))
    assert shown("Müller_T2\tß\n") == "Müller_T2\tß\n"


@pytest.mark.parametrize("sign", STEERING)
def test_json_on_a_terminal_says_the_same_and_steers_nothing(sign, capsys):
    write_result(Path("-"), {f"a{sign}": [f"ü{sign}"]})
    told = capsys.readouterr().out
    assert not steers(told)
    assert "ü" in told
    assert json.loads(told) == {f"a{sign}": [f"ü{sign}"]}


def test_image_with_a_hostile_name_is_an_image_without_a_mask_and_costs_no_other(tmp_path):
    for name in (f"{HOSTILE.replace('/', '')}_T2.nii.gz", "two\nlines_T2.nii.gz", "good_T2.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    selection = find_cases(tmp_path, tmp_path / "out", get_edition(2022))
    assert [case.name for case in selection.cases] == ["good"]
    assert len(selection.refused) == 2
    for line in selection.refused:
        assert "control characters" in line
        assert not steers(line)
        assert "\n" not in line


def test_masks_with_hostile_names_are_scored_and_screened_without_a_word_of_theirs(tmp_path, save_mask, run):
    save_mask(tmp_path / "ref" / "c1_Label.nii.gz")
    save_mask(tmp_path / "masks" / "c1_Label.nii.gz", moved=1)
    hostile = HOSTILE.replace("/", "")
    shutil.copy(tmp_path / "masks" / "c1_Label.nii.gz", tmp_path / "masks" / f"{hostile}_Label.nii.gz")
    for command in (
        ["evaluate", tmp_path / "masks", tmp_path / "ref", tmp_path / "out"],
        ["screen", tmp_path / "masks"],
    ):
        options = ["--no-report"] if command[0] == "evaluate" else []
        _, told = run(*command, "--edition", 2022, "--workers", 1, *options)
        assert "case\\x1b[2J" in told
        assert not steers(told)
    assert not steers((tmp_path / "out" / "cases.csv").read_text())
    assert "c1" in json.loads((tmp_path / "out" / "metrics.json").read_text())["case"]["case"]["0"]


@pytest.mark.parametrize("first", list("=+-@"))
def test_case_that_a_spreadsheet_would_compute_is_no_formula_in_its_cell(tmp_path, save_mask, first):
    name = f"{first}1+cmd|calc"
    save_mask(tmp_path / "ref" / f"{name}_Label.nii.gz")
    save_mask(tmp_path / "masks" / f"{name}_Label.nii.gz")
    score_folder(tmp_path / "masks", tmp_path / "ref", tmp_path / "out", 2022)
    with (tmp_path / "out" / "cases.csv").open() as stream:
        cells = [row["case"] for row in csv.DictReader(stream)]
    assert set(cells) == {f"'{name}"}
    assert unescaped(escaped(name)) == name


def test_hostile_case_is_text_in_the_page(tmp_path):
    hostile = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    rows = [{"case": hostile, "structure": name, "dice": 0.5, "assd_mm": 1.0} for name in ("vs", "cochlea")]
    scores = Scores(rows, summarise(rows), "default", 2022, problems={hostile: hostile}, extra=[hostile])
    write_report(tmp_path / "page.html", scores, {}, title=hostile)
    page = (tmp_path / "page.html").read_text()
    assert "alert(1)</script>" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_hostile_arm_is_text_in_latex_and_markdown():
    table = TextTable(("arm", "n"), ((r"\input{/etc/passwd}|<b>$x^2$~", "1"),), names=1)
    assert r"\textbackslash{}input\{/etc/passwd\}" in table.latex
    assert r"\input{" not in table.latex.replace(r"\textbackslash{}input", "")
    assert r"\$x\textasciicircum{}2\$\textasciitilde{}" in table.latex
    assert r"\|&lt;b>" in table.markdown


@pytest.mark.parametrize("command", [["rank"], ["table1"], ["statistics"]])
def test_table_of_scores_with_control_characters_is_refused(tmp_path, run, command):
    (tmp_path / "cases.csv").write_text(f"case,structure,dice,assd_mm\n{HOSTILE},vs,0.8,1\n")
    subject = tmp_path / "cases.csv" if command == ["rank"] else f"arm={tmp_path}"
    code, told = run(*command, subject)
    assert code == 1
    assert "line 2" in told
    assert "control characters" in told
    assert not steers(told)


def test_bundle_whose_texts_steer_the_terminal_is_refused(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    for key, value in (
        ("notice", "\x1b]0;owned\x07"),
        ("scores", {"\u202efdp.exe": 1}),
        ("arms", ["a\x1b[2J", "oneshot"]),
    ):
        with pytest.raises(InputError, match="control characters") as caught:
            check_manifest(tiny_bundle / "manifest.json", bundle.manifest | {key: value})
        assert not steers(str(caught.value))


def test_report_of_a_check_shows_names_as_text():
    report = Report(f"{HOSTILE}.zip")
    report.failed("names", f"{HOSTILE} is odd", "rename it")
    assert not steers(report.as_text())
    assert HOSTILE[:4] in report.as_text()
