"""Per-case scores from CSV files: the organisers' table of all teams, and what `vestibule evaluate` writes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from evaluation.ranking import Field
from vestibule.errors import InputError

METRICS = {"dice": "dice", "assd": "assd_mm", "assd_mm": "assd_mm"}
"""How the metrics are called in the organisers' columns and in ours -> ours."""
TeamScores = dict[tuple[str, str], dict[tuple[str, str], float]]
"""{(team, case): {(structure, metric): score}}"""


def read_scores(path: Path, team: str) -> TeamScores:
    """Scores by team and case from a CSV file in either form.

    Wide: a column `Case`, one a structure and metric (`VS_Dice`, `Cochlea_ASSD`) and `Team`. Long: `case`, `structure`,
    `dice`, `assd_mm`, as `vestibule evaluate` writes it. Without a column `team`, all belong to `team`. Raises
    InputError, naming file and line, where a score is missing, no finite number or given twice.
    """
    scores: TeamScores = {}
    for line, row in _rows(Path(path)):
        if not row.get("case"):
            raise InputError(f"{path}: line {line}: no case")
        known = scores.setdefault((row.get("team") or team, row["case"]), {})
        for measure, text in _measures(row):
            if measure in known:
                raise InputError(f"{path}: line {line}: case {row['case']} is given twice")
            known[measure] = _number(text, path, line)
    if not scores:
        raise InputError(f"{path}: holds no scores")
    return scores


def as_field(scores: TeamScores, path: Path) -> Field:
    """The field of all teams. Raises InputError, naming `path`, where a team lacks a case or a measure."""
    teams, cases = (sorted({key[index] for key in scores}) for index in (0, 1))
    measures = list(next(iter(scores.values())))
    if not measures:
        raise InputError(f"{path}: no column of scores; expected, for instance, VS_Dice or dice")
    for team in teams:
        for case in cases:
            known = scores.get((team, case))
            if known is None or set(known) != set(measures):
                lacks = "case" if known is None else "a measure of case"
                raise InputError(f"{path}: team {team} lacks {lacks} {case}; give a missing mask the worst score")
    values = [[[scores[team, case][measure] for measure in measures] for team in teams] for case in cases]
    return Field(tuple(teams), tuple(cases), tuple(measures), np.array(values))


def with_own_scores(published: TeamScores, own: TeamScores, own_path: Path) -> tuple[TeamScores, int]:
    """A published field with one more team, over the cases that both have; and how many cases that leaves out.

    Raises InputError where the two share no case, a measure is missing or the team's name is taken.
    """
    team = next(iter(own))[0]
    measures = set(next(iter(published.values())))
    cases = {case for _, case in published}
    common = cases & {case for _, case in own}
    if team in {name for name, _ in published}:
        raise InputError(f"{own_path}: a team called {team} is in the field; choose another with --name")
    if not common:
        raise InputError(f"{own_path}: no case of the field; it has, for instance, {min(cases)}")
    joined = {key: values for key, values in published.items() if key[1] in common}
    for case in common:
        missing = measures - own[team, case].keys()
        if missing:
            structure, metric = min(missing)
            raise InputError(f"{own_path}: case {case} has no {metric} of {structure}")
        joined[team, case] = {measure: own[team, case][measure] for measure in measures}
    return joined, len(cases) - len(common)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from error
    return [(line, {(key or "").strip().lower(): value or "" for key, value in row.items()}) for line, row in rows]


def _measures(row: dict[str, str]) -> list[tuple[tuple[str, str], str]]:
    if "structure" in row:
        return [((row["structure"], metric), row[metric]) for metric in ("dice", "assd_mm") if metric in row]
    found = []
    for name, text in row.items():
        structure, _, metric = name.rpartition("_")
        if structure and metric in METRICS:
            found.append(((structure, METRICS[metric]), text))
    return found


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: line {line}: expected a finite number, got {text!r}")
    return value
