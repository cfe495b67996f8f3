"""CSV files as spreadsheets leave them: what cannot be read without doubt is refused, with the line and the cause."""

from __future__ import annotations

import csv
import math
import re
from io import StringIO
from pathlib import Path

from evaluation.metrics import METRICS, Metric
from evaluation.scoring.scores import NAME_COLUMNS
from vestibule.errors import InputError
from vestibule.text import shown
from vestibule.volume import MAX_EXTENT_MM

_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+")


def read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with the number of their line; columns by name in lower case, cells without blanks around.

    A short row has blank cells at its end, and a row of blank cells is none.

    Raises InputError, naming file and cause, for what is no CSV file or no UTF-8, columns that are separated by another
    sign or have one name, and a row of more cells than the header has.
    """
    text = _text_of(path)
    rows: list[tuple[int, list[str]]] = []
    try:
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        for cells in reader:
            stripped = _stripped(path, reader.line_num, cells)
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error
    if not rows:
        return []

    (_, header), *others = rows
    columns = _columns(path, header)
    named = []
    for line, cells in others:
        # A spreadsheet ends rows with the blank cells of columns that are no longer there.
        surplus = [cell for cell in cells[len(columns) :] if cell]
        if surplus:
            counts = f"{len(cells)} cells, the header has {len(columns)}"
            raise InputError(f"{path}: line {line}: {counts}; numbers take a point, not a comma")
        missing = len(columns) - len(cells)
        padded = cells + [""] * missing
        # Not strict: the surplus cells are blank.
        by_name = dict(zip(columns, padded, strict=False))
        named.append((line, by_name))
    return named


def check_columns(row: dict[str, str]) -> None:
    """Raises ValueError where a row of a case and structure has a column that `vestibule evaluate` does not write."""
    known = {*NAME_COLUMNS, "team", *METRICS}
    for column in row:
        if column not in known:
            raise ValueError(f"column {column} is no metric; leave it out")


def number_of(text: str, metric: Metric | None = None) -> float:
    """The number in a cell. Raises ValueError where it is none, not finite, or no value that the metric can have."""
    if _DECIMAL_COMMA.fullmatch(text):
        raise ValueError(f"expected a number with a point, got {text!r}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Python takes 1_000 for a number.
    if not math.isfinite(value) or "_" in text:
        raise ValueError(f"expected a finite number, got {text!r}")
    if metric is None:
        return value

    low, high = -math.inf, math.inf
    if metric.limits is not None:
        low, high = metric.limits
    elif not metric.signed:
        low = 0.0
        if metric.unit == "mm":
            # No two points of an image are further apart.
            high = math.sqrt(3) * MAX_EXTENT_MM
    if not low <= value <= high:
        raise ValueError(f"{metric.key} cannot be {text}; expected {low:g} to {high:g}")
    return value


def _text_of(path: Path) -> str:
    """The text of a CSV file. Raises InputError where it is none, or no UTF-8."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a file")
    try:
        # Spreadsheets put a byte order mark first.
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from error


def _stripped(path: Path, line: int, cells: list[str]) -> list[str]:
    """Cells without blanks around them. Raises InputError for what could steer the terminal that shows it."""
    stripped = []
    for cell in cells:
        text = cell.strip()
        if shown(text) != text:
            raise InputError(f"{path}: line {line}: {text!r:.80} holds control characters")
        stripped.append(text)
    return stripped


def _columns(path: Path, header: list[str]) -> list[str]:
    """Names of the columns in lower case, those without a name at the end left out."""
    names = [cell.lower() for cell in header]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise InputError(f"{path}: column {names.index('') + 1} has no name")

    first_line = ",".join(header)
    for separator, called in ((";", ";"), ("\t", "tabs"), ("|", "|")):
        if len(names) == 1 and separator in first_line:
            raise InputError(f"{path}: columns are separated by {called}; save it with commas, and a point in numbers")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two columns are called {name}; keep one of them")
    return names
