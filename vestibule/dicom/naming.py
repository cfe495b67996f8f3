"""What the files of a series are called: by patient, date and kind, as the other commands read names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vestibule.dicom.headers import OTHER, T1, T1_CONTRAST, T2, Series

ENDINGS = {T1_CONTRAST: "ceT1", T1: "T1", T2: "T2", OTHER: "MR"}
"""What the stems of files end in, by kind."""


def case_name(patient: str) -> str:
    """A patient's name as it may stand in a file name, in lower case; `nobody` where nothing is left of it."""
    safe = re.sub(r"[^a-z0-9]+", "-", patient.lower())
    return safe.strip("-") or "nobody"


def names_of(series: Sequence[Series]) -> dict[str, str]:
    """Stems of files by the UID of a series: `p1_T2`; with a date where a patient has several, with a number else."""
    dates: dict[str, set[str]] = {}
    for one in series:
        dates.setdefault(one.patient, set()).add(one.date)

    names: dict[str, str] = {}
    for one in series:
        case = case_name(one.patient)
        if len(dates[one.patient]) > 1 and one.date:
            # As `vestibule measure` reads dates.
            case = f"{case}_{one.date}"
        ending = ENDINGS[one.kind]
        name = f"{case}_{ending}"
        number = 2
        while name in names.values():
            name = f"{case}-{number}_{ending}"
            number += 1
        names[one.uid] = name
    return names
