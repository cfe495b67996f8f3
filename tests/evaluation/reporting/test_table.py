"""The paper's Table 1 in its four forms."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.reporting.table import table1
from vestibule.commands.options import write_result


def scores(mean: float, std: float, median: float, over: int) -> dict:
    assd = {"mean": mean * 10, "std": std * 10, "median": median * 10}
    return {"dice": {"mean": mean, "std": std, "median": median, "over_0_8": over}, "assd_mm": assd}


ARMS = {
    "baseline": {"vs": scores(0.46, 0.32, 0.61, 3), "cochlea": scores(0.5, 0.1, 0.5, 0)},
    "one_shot": {"vs": scores(0.58, 0.31, 0.68, 9), "cochlea": scores(0.6, 0.1, 0.6, 1)},
}


def test_markdown_holds_mean_deviation_and_median() -> None:
    lines = table1(ARMS).markdown.splitlines()
    assert lines[0] == "| arm | structure | Dice | cases > 0.8 | ASSD (mm) |"
    assert lines[2] == "| baseline | VS | 0.46 ± 0.32 (0.61) | 3 | 4.60 ± 3.20 (6.10) |"
    assert len(lines) == 2 + 4


def test_latex_escapes_what_latex_would_read() -> None:
    latex = table1(ARMS).latex
    assert "one\\_shot & VS & 0.58 $\\pm$ 0.31 (0.68) & 9" in latex
    assert "cases $>$ 0.8" in latex
    assert latex.count("\\\\") == 5


def test_console_shows_every_cell_on_80_columns() -> None:
    stream = StringIO()
    table1(ARMS).print(Console(file=stream, width=80), title="Table 1")
    assert "0.58 ± 0.31 (0.68)" in stream.getvalue()
    assert "Table 1" in stream.getvalue()


def test_json_holds_every_number_in_full(tmp_path: Path) -> None:
    write_result(tmp_path / "new" / "table1.json", {"arms": ARMS})
    assert json.loads((tmp_path / "new" / "table1.json").read_text()) == {"arms": ARMS}


def test_json_refuses_what_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path / "t.json", {"arms": {"a": {"vs": scores(float("nan"), 0, 0, 0)}}})


def test_arms_must_share_their_structures() -> None:
    with pytest.raises(ValueError, match="'b'"):
        table1({"a": ARMS["baseline"], "b": {"vs": scores(1, 0, 1, 1)}})
    with pytest.raises(ValueError, match="at least one arm"):
        table1({})
