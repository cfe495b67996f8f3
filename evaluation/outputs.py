"""`metrics.json` in the form of the platform, and `cases.csv`."""

from __future__ import annotations

import csv
import json
import math
import os
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.scores import COLUMNS, DEFINITIONS, Row, Scores, detection_summary, moments
from vestibule.errors import InputError


def write_scores(out_dir: Path, scores: Scores) -> None:
    """Write `metrics.json` and `cases.csv`. Raises InputError where the disk refuses."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        _write_whole(out_dir / "cases.csv", _as_csv(scores.rows))
        document = json.dumps(platform_metrics(scores), indent=2, allow_nan=False)
        _write_whole(out_dir / "metrics.json", document + "\n")
    except OSError as error:
        raise InputError(f"{error.filename or out_dir}: cannot be written ({error.strerror})") from error


def read_rows(scores_dir: Path) -> list[Row]:
    """The rows of `cases.csv` in a folder of scores, numbers as numbers, blank cells left out.

    Raises InputError where the file is missing or not such a table.
    """
    path = Path(scores_dir) / "cases.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [_as_row(row) for row in csv.DictReader(stream)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run vestibule evaluate first") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a table of scores as vestibule evaluate writes it ({error})") from error
    if not rows:
        raise InputError(f"{path}: holds no scores")
    return rows


def platform_metrics(scores: Scores) -> dict:
    """Scores in the shape of evalutils and grand-challenge.org: `case` by metric and index, and `aggregates`."""
    by_case: dict[str, dict] = {}
    for row in scores.rows:
        values = by_case.setdefault(row["case"], {})
        values.update({f"{row['structure']}_{key}": value for key, value in row.items() if key not in COLUMNS[:2]})
    columns = {"case": {str(index): case for index, case in enumerate(by_case)}}
    aggregates = {}
    for name in dict.fromkeys(key for values in by_case.values() for key in values):
        cells = [values.get(name) for values in by_case.values()]
        columns[name] = {str(index): cell for index, cell in enumerate(cells)}
        aggregates[name] = _describe(cells)
    return {
        "mode": scores.mode,
        "definition": DEFINITIONS[scores.mode],
        "edition": scores.edition,
        "case": columns,
        "aggregates": aggregates,
        "summary": scores.summary,
        "detection": detection_summary(scores.rows),
        "scored_as_empty": scores.problems,
        "extra": scores.extra,
        "notes": scores.notes,
    }


def _as_row(cells: dict[str, str]) -> Row:
    numbers = {name: float(text) for name, text in cells.items() if name not in COLUMNS[:2] and text}
    if not {"dice", "assd_mm"} <= numbers.keys() or not all(math.isfinite(number) for number in numbers.values()):
        raise ValueError(f"case {cells['case']!r} lacks a finite dice or assd_mm")
    return {"case": cells["case"], "structure": cells["structure"], **numbers}


def _describe(cells: list[float | None]) -> dict[str, float]:
    values = np.array([cell for cell in cells if cell is not None], dtype=float)
    middle = moments(values)
    low, quarter, half, three_quarters, high = (float(q) for q in np.percentile(values, [0, 25, 50, 75, 100]))
    return {
        "count": int(values.size),
        "mean": middle["mean"],
        "std": middle["std"],
        "min": low,
        "25pc": quarter,
        "50pc": half,
        "75pc": three_quarters,
        "max": high,
    }


def _as_csv(rows: list[Row]) -> str:
    text = StringIO(newline="")
    columns = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(text, fieldnames=list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if not all(math.isfinite(value) for value in row.values() if isinstance(value, float)):
            raise ValueError(f"{row['case']}: a score is not finite: {row}")
        writer.writerow(row)
    return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
