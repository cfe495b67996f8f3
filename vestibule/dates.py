"""Names of cases that end in a date."""

from __future__ import annotations

import re
from datetime import date, datetime

_DATED = re.compile(r"(?P<patient>.+)[_\-. ](?P<date>[0-9]{4}-?[0-9]{2}-?[0-9]{2})")


def patient_and_day(case: str) -> tuple[str, date] | None:
    """The patient and the day in a name such as `p1_20210309` or `p1_2021-03-09`; None where it ends in no date."""
    match = _DATED.fullmatch(case)
    day = day_of(match["date"]) if match else None
    if match is None or day is None:
        return None
    return match["patient"], day


def day_of(text: str) -> date | None:
    """The day that digits stand for, with hyphens or without; None where there is no such day."""
    for pattern in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.strptime(text, pattern).date()
        except ValueError:
            continue
    return None
