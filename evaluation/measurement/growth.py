"""Growth of a patient's tumour between the dates of several masks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from evaluation.csv_tables import read_table
from evaluation.measurement.sizes import Sizes
from vestibule.dates import day_of, patient_and_day
from vestibule.errors import InputError


@dataclass(frozen=True)
class Visit:
    """Whose mask a case is, and of which day."""

    patient: str
    day: date


@dataclass(frozen=True)
class Growth:
    """How a tumour changed between two masks of a patient that follow each other."""

    patient: str
    earlier: str
    """Case of the first mask."""
    later: str
    days: int
    growth_ml: float
    """Negative where the tumour shrank."""
    growth_percent: float | None
    """Of the earlier volume; None where that is 0."""
    doubling_days: float | None
    """Time in which a tumour doubles that grows exponentially, days; None where it did not grow."""
    problem: str | None = None


def dates_of(cases: Iterable[str], table: Path | None = None) -> dict[str, Visit]:
    """The patient and the day of each case, as a table tells, or else names such as `patient7_2021-03-09`.

    Args:
        cases: Names of cases.
        table: CSV file with the columns case, patient and date (YYYY-MM-DD).

    Returns:
        Visits by case; cases that have no date are left out.

    Raises:
        InputError: The table cannot be read, names a case twice, one that there is not, or a date that is none.
    """
    names = list(cases)
    if table is not None:
        return _read_dates(table, set(names))
    visits = {}
    for case in names:
        dated = patient_and_day(case)
        if dated is not None:
            visits[case] = Visit(*dated)
    return visits


def growth_of(sizes: Iterable[Sizes], visits: Mapping[str, Visit]) -> list[Growth]:
    """Growth between each mask of a patient and the next one, by patient and date.

    Masks that could not be measured are left out. Raises InputError for two masks of a patient on one day.
    """
    by_patient: dict[str, list[Sizes]] = {}
    for size in sizes:
        if size.case in visits and size.volume_mm3 is not None:
            by_patient.setdefault(visits[size.case].patient, []).append(size)

    found = []
    for patient in sorted(by_patient):
        measured = sorted(by_patient[patient], key=lambda size: visits[size.case].day)
        for earlier, later in pairwise(measured):
            days = (visits[later.case].day - visits[earlier.case].day).days
            if not days:
                raise InputError(
                    f"{earlier.case} and {later.case}: are of patient {patient} and of one day, "
                    f"{visits[later.case].day}; keep one of them"
                )
            found.append(_between(patient, earlier, later, days))
    return found


def doubling_days(earlier_mm3: float, later_mm3: float, days: int) -> float | None:
    """Days in which a volume doubles that grew exponentially from one to the other; None where it did not grow."""
    if not 0 < earlier_mm3 < later_mm3:
        return None
    return days * math.log(2) / math.log(later_mm3 / earlier_mm3)


def _between(patient: str, earlier: Sizes, later: Sizes, days: int) -> Growth:
    before = earlier.volume_mm3 or 0.0
    after = later.volume_mm3 or 0.0
    percent = 100 * (after - before) / before if before else None
    problem = None
    if earlier.side and later.side and earlier.side != later.side:
        problem = f"the tumour is on the {earlier.side}, later on the {later.side}"
    return Growth(
        patient=patient,
        earlier=earlier.case,
        later=later.case,
        days=days,
        growth_ml=(after - before) / 1000,
        growth_percent=percent,
        doubling_days=doubling_days(before, after, days),
        problem=problem,
    )


def _read_dates(table: Path, cases: set[str]) -> dict[str, Visit]:
    visits: dict[str, Visit] = {}
    rows = read_table(table)
    if not rows:
        raise InputError(f"{table}: no rows; expected the columns case, patient and date")
    for line, row in rows:
        missing = [column for column in ("case", "patient", "date") if not row.get(column)]
        if missing:
            raise InputError(f"{table}: line {line}: has no {missing[0]}; expected the columns case, patient and date")
        case = row["case"]
        day = day_of(row["date"])
        if day is None:
            raise InputError(f"{table}: line {line}: expected a date as 2021-03-09, got {row['date']!r}")
        if case in visits:
            raise InputError(f"{table}: line {line}: names case {case} a second time")
        if case not in cases:
            raise InputError(f"{table}: line {line}: there is no mask of case {case}")
        visits[case] = Visit(row["patient"], day)
    return visits
