"""Scores that a team, or an earlier evaluation of it, brings along as a table."""

from __future__ import annotations

from pathlib import Path

from evaluation.metrics import Mode, headlines
from evaluation.score_tables import definitions_fault, read_scores
from evaluation.scoring.cases import natural_order
from evaluation.scoring.scores import Row, Scores, summarise
from evaluation.teams.submissions import Submission
from vestibule.editions import Edition
from vestibule.errors import InputError


def read_given(submission: Submission, cases: list[str], edition: Edition, mode: Mode) -> Scores:
    """The scores of one team from a table in either form that `vestibule rank` reads.

    Args:
        submission: A table; what `vestibule evaluate` wrote tells how it was scored.
        cases: The cases that have a reference; others in the table are named as extra.
        edition: Whose structures the ranking is of.
        mode: Whose definitions it is of.

    Returns:
        The scores, of the headline metrics alone.

    Raises:
        InputError: It is no such table, is of several teams, was scored by other definitions, or lacks a case or a
            structure.
    """
    path = submission.path
    if submission.definitions is not None:
        fault = definitions_fault(submission.definitions, edition, mode)
        if fault:
            raise InputError(fault)
    found = read_scores(path, submission.team)
    teams = sorted({name for name, _ in found})
    if len(teams) > 1:
        raise InputError(f"{path}: holds the teams {', '.join(teams)}; rank it with vestibule rank")
    (name,) = teams

    rows: list[Row] = []
    for case in cases:
        values = found.get((name, case))
        if values is None:
            raise InputError(f"{path}: lacks case {case}; give a missing mask the worst score")
        rows += _rows_of(case, values, edition, path)
    extra = sorted({case for _, case in found} - set(cases), key=natural_order)
    return Scores(rows, summarise(rows), mode, edition.year, extra=extra, labels=edition.label_values())


def _rows_of(case: str, values: dict[tuple[str, str], float], edition: Edition, path: Path) -> list[Row]:
    """A row a structure of the edition. Raises InputError where one has no score."""
    rows = []
    for structure in (*edition.structures, *edition.parts):
        row: Row = {"case": case, "structure": structure}
        for metric in headlines():
            value = values.get((structure, metric.key))
            if value is None:
                raise InputError(f"{path}: case {case} has no {metric.key} of {structure}")
            row[metric.key] = value
        rows.append(row)
    return rows
