"""`metrics.json` in the form of the platform, and `cases.csv`."""

from __future__ import annotations

import csv
import math
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.metrics import METRICS, headlines
from evaluation.metrics.detection import detection_summary
from evaluation.scoring.scores import DEFINITIONS, NAME_COLUMNS, Row, Scores, moments
from vestibule.errors import InputError
from vestibule.files import write_json, write_text


def write_scores(out_dir: Path, scores: Scores) -> None:
    """Write `metrics.json` and `cases.csv`. Raises InputError where the disk refuses."""
    write_text(out_dir / "cases.csv", _as_csv(scores.rows))
    write_json(out_dir / "metrics.json", platform_metrics(scores))


def read_rows(scores_dir: Path) -> list[Row]:
    """The rows of `cases.csv` in a folder of scores, numbers as numbers, blank cells left out.

    Raises InputError where the file is missing or not such a table.
    """
    path = Path(scores_dir) / "cases.csv"
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for cells in csv.DictReader(stream):
                rows.append(_as_row(cells))
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
        name, structure = str(row["case"]), row["structure"]
        case = cases.setdefault(name, {"case": name})
        for key, value in row.items():
            if key not in NAME_COLUMNS:
                case[f"{structure}_{key}"] = value
    return list(cases.values())


def platform_metrics(scores: Scores) -> dict:
    """Scores in the shape of evalutils and grand-challenge.org: `case` by metric and index, and `aggregates`."""
    cases = flat_scores(scores.rows)
    # A dictionary keeps the order of its keys, which a set does not.
    names: dict[str, None] = {}
    for case in cases:
        names |= dict.fromkeys(case)

    columns: dict[str, dict] = {}
    aggregates: dict[str, dict] = {}
    for name in names:
        column = [case.get(name) for case in cases]
        columns[name] = {str(index): value for index, value in enumerate(column)}
        if name == "case":
            continue
        # A metric that applies to some structures or cases alone leaves gaps.
        known = [value for value in column if value is not None]
        aggregates[name] = describe(np.array(known, dtype=float))

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


def describe(values: np.ndarray) -> dict[str, float]:
    """Count, mean, deviation (n - 1), least, quartiles and largest of `values` (N,), under the platform's names."""
    values = np.asarray(values, dtype=float)
    middle = moments(values)
    quantiles = np.percentile(values, [0, 25, 50, 75, 100])
    low, quarter, half, three_quarters, high = quantiles.tolist()
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


def _as_row(cells: dict[str, str]) -> Row:
    row: Row = {name: cells[name] for name in NAME_COLUMNS}
    for name, text in cells.items():
        if name not in NAME_COLUMNS and text:
            row[name] = float(text)
    needed = [metric.key for metric in headlines()]
    for key in needed:
        if key not in row:
            names = " or ".join(needed)
            raise ValueError(f"case {row['case']!r} lacks a finite {names}")
    _check_finite(row)
    return row


def _as_csv(rows: list[Row]) -> str:
    present = {key for row in rows for key in row}
    columns = [*NAME_COLUMNS, *(key for key in METRICS if key in present)]
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        _check_finite(row)
        writer.writerow(row)
    return text.getvalue()


def _check_finite(row: Row) -> None:
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"case {row['case']!r} has no finite {key}")
