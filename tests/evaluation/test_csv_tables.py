"""Score tables that went through a spreadsheet or a stranger's hands are read as they were meant, or refused."""

from pathlib import Path

import pytest

from evaluation.reporting.outputs import read_rows, write_scores
from evaluation.score_tables import read_scores
from evaluation.scoring.scores import Scores, summarise
from vestibule.csv_cells import escaped, unescaped
from vestibule.errors import InputError

TEXT = "case,structure,dice,assd_mm\nc0,vs,0.8,1\nc1,vs,0.4,3\n"
READERS = {
    "statistics": lambda folder: read_rows(folder),
    "rank": lambda folder: read_scores(folder / "cases.csv", "mine"),
}


@pytest.fixture(params=READERS.values(), ids=READERS)
def read(request):
    return request.param


@pytest.mark.parametrize(
    "content",
    [
        ("\ufeff" + TEXT).encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", ",,\n").encode() + b",,,,,\n\n",
        TEXT.replace(",", " , ").replace("case", "Case").encode(),
    ],
    ids=["byte order mark", "CRLF", "blank columns and rows", "blanks and capitals"],
)
def test_what_a_spreadsheet_adds_changes_nothing(content: bytes, read, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(TEXT)
    expected = read(tmp_path)
    (tmp_path / "cases.csv").write_bytes(content)
    assert read(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace(",", ";"), "columns are separated by ;"),
        (TEXT.replace(",", "\t"), "columns are separated by tabs"),
        (TEXT.replace("0.8", "0,8"), "line 2: 5 cells, the header has 4; numbers take a point"),
        (TEXT.replace("0.8", '"0,8"'), "line 2: expected a number with a point, got '0,8'"),
        (TEXT.replace("0.8", "80"), "line 2: dice cannot be 80; expected 0 to 1"),
        (TEXT.replace("0.8", "-0.1"), "line 2: dice cannot be -0.1"),
        (TEXT.replace(",1\n", ",-1\n"), "line 2: assd_mm cannot be -1"),
        (TEXT.replace(",1\n", ",5000\n"), "line 2: assd_mm cannot be 5000"),
        (TEXT.replace("0.8", "inf"), "line 2: expected a finite number, got 'inf'"),
        (TEXT.replace("0.8", "1_0"), "line 2: expected a finite number, got '1_0'"),
        (TEXT + "c0,vs,0.8,1\n", "line 4: case c0"),
        (TEXT + " c0 ,vs,0.7,1\n", "line 4: case c0"),
        (TEXT.replace("assd_mm", "dice"), "two columns are called dice"),
        (TEXT.replace("assd_mm", "DICE"), "two columns are called dice"),
        (TEXT.replace("\n", ",x\n"), "column x is no metric"),
        (TEXT.replace("structure", ""), "column 2 has no name"),
        (TEXT + ",vs,0.8,1\n", "line 4: no case"),
        (TEXT + "c2,,0.8,1\n", "line 4: no structure"),
        (TEXT + '"c2,vs,0.8,1\n', "not a CSV file"),
    ],
)
def test_a_table_that_would_be_misread_is_refused_with_its_line(text: str, message: str, read, tmp_path) -> None:
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError, match=r"cases\.csv: ") as caught:
        read(tmp_path)
    assert message in str(caught.value)


def test_another_encoding_is_named(read, tmp_path) -> None:
    (tmp_path / "cases.csv").write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        read(tmp_path)


def test_a_row_given_twice_and_one_that_is_missing_are_named(tmp_path) -> None:
    (tmp_path / "cases.csv").write_text(TEXT + "c0,vs,0.8,1\n")
    with pytest.raises(InputError, match="case c0, vs is given twice"):
        read_rows(tmp_path)
    (tmp_path / "cases.csv").write_text(TEXT + "c0,cochlea,0.8,1\n")
    with pytest.raises(InputError, match="case c1 has no row of cochlea"):
        read_rows(tmp_path)


def test_a_wide_table_with_a_measure_twice_is_refused(tmp_path) -> None:
    (tmp_path / "s.csv").write_text("Case,VS_ASSD,vs_assd_mm\na,1,2\n")
    with pytest.raises(InputError, match="two columns hold assd_mm of vs"):
        read_scores(tmp_path / "s.csv", "x")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "'=1", "\tx", "case1", "'quoted'"])
def test_a_name_that_a_spreadsheet_would_run_is_escaped_and_read_back(name: str, tmp_path) -> None:
    cell = escaped(name)
    assert cell[0] not in "=+-@\t\r"
    assert unescaped(cell) == name
    if name.strip() == name:
        components = {"components": 1.0, "components_found": 1.0, "components_false": 0.0}
        rows = [{"case": name, "structure": "vs", "dice": 0.5, "assd_mm": 1.0, **components}]
        write_scores(tmp_path, Scores(rows, summarise(rows), "default", 2022))
        assert f"\n{cell},vs," in (tmp_path / "cases.csv").read_text()
        assert read_rows(tmp_path) == rows
        assert list(read_scores(tmp_path / "cases.csv", "mine")) == [("mine", name)]
