"""`metrics.json` in the form of the platform, and `cases.csv`."""

from __future__ import annotations

import csv
import math
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.csv_tables import check_columns, number_of, read_table
from evaluation.metrics import METRICS, headlines
from evaluation.metrics.detection import detection_summary
from evaluation.scoring.scores import DEFINITIONS, NAME_COLUMNS, Row, Scores, moments
from vestibule.csv_cells import escaped, unescaped
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
    if not path.is_file():
        raise InputError(f"{path}: no such file; run vestibule evaluate first")
    rows = []
    known: dict[str, set[str]] = {}
    for line, cells in read_table(path):
        try:
            row = _as_row(cells)
            structures = known.setdefault(str(row["case"]), set())
            if row["structure"] in structures:
                raise ValueError(f"case {row['case']}, {row['structure']} is given twice")
        except ValueError as error:
            cause = f"line {line}: {error}"
            raise InputError(f"{path}: not a table of scores as vestibule evaluate writes it ({cause})") from error
        structures.add(str(row["structure"]))
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: holds no scores")

    # A missing row would leave its case out of that structure's means.
    everything = set().union(*known.values())
    for case, structures in known.items():
        missing = sorted(everything - structures)
        if missing:
            raise InputError(f"{path}: case {case} has no row of {missing[0]}; run vestibule evaluate again")
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
        **({"labels": scores.labels} if scores.labels else {}),
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
    """A row with its numbers as numbers. Raises ValueError for what `vestibule evaluate` does not write."""
    check_columns(cells)
    row: Row = {}
    for name in NAME_COLUMNS:
        row[name] = unescaped(cells.get(name, ""))
        if not row[name]:
            raise ValueError(f"no {name}")
    for key, metric in METRICS.items():
        text = cells.get(key)
        if text:
            row[key] = number_of(text, metric)
    for metric in headlines():
        if metric.key not in row:
            raise ValueError(f"case {row['case']!r} lacks {metric.key}")
    return row


def _as_csv(rows: list[Row]) -> str:
    present = {key for row in rows for key in row}
    columns = [*NAME_COLUMNS, *(key for key in METRICS if key in present)]
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        _check_finite(row)
        names = {name: escaped(str(row[name])) for name in NAME_COLUMNS}
        writer.writerow(row | names)
    return text.getvalue()


def _check_finite(row: Row) -> None:
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"case {row['case']!r} has no finite {key}")
