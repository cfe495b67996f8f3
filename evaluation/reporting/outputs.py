"""`metrics.json` in the form of the platform, and `cases.csv`."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.metrics import headlines
from evaluation.metrics.detection import detection_summary
from evaluation.scoring.scores import DEFINITIONS, NAME_COLUMNS, Row, Scores, moments
from vestibule.errors import InputError


def write_scores(out_dir: Path, scores: Scores) -> None:
    """Write `metrics.json` and `cases.csv`. Raises InputError where the disk refuses."""
    write_text(out_dir / "cases.csv", _as_csv(scores.rows))
    write_document(out_dir / "metrics.json", platform_metrics(scores))


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


def flat_scores(rows: list[Row]) -> list[dict]:
    """One row a case, with a key for each structure and metric: {"case", "vs_dice", "vs_assd_mm", ...}."""
    cases: dict[str, dict] = {}
    for row in rows:
        case = cases.setdefault(row["case"], {"case": row["case"]})
        case.update({f"{row['structure']}_{key}": value for key, value in row.items() if key not in NAME_COLUMNS})
    return list(cases.values())


def write_document(path: Path, document: dict) -> None:
    """Write JSON as `write_text` does. Raises ValueError for NaN or infinity."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, with its folder. Raises InputError where the disk refuses."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def platform_metrics(scores: Scores) -> dict:
    """Scores in the shape of evalutils and grand-challenge.org: `case` by metric and index, and `aggregates`."""
    cases = flat_scores(scores.rows)
    columns = {name: {str(i): case.get(name) for i, case in enumerate(cases)} for name in _names(cases)}
    aggregates = {
        name: describe([value for value in column.values() if value is not None])
        for name, column in columns.items()
        if name != "case"
    }
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


def _names(cases: list[dict]) -> list[str]:
    return list(dict.fromkeys(name for case in cases for name in case))


def _as_row(cells: dict[str, str]) -> Row:
    numbers = {name: float(text) for name, text in cells.items() if name not in NAME_COLUMNS and text}
    needed = [metric.key for metric in headlines()]
    if not set(needed) <= numbers.keys() or not all(math.isfinite(number) for number in numbers.values()):
        raise ValueError(f"case {cells['case']!r} lacks a finite {' or '.join(needed)}")
    return {"case": cells["case"], "structure": cells["structure"], **numbers}


def describe(values: np.ndarray) -> dict[str, float]:
    """Count, mean, deviation (n - 1), least, quartiles and largest of `values` (N,), under the platform's names."""
    values = np.asarray(values, dtype=float)
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
