"""What an evaluation finds: its rows, their summary, and the rules that both follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from evaluation.metrics import CHALLENGE_EMPTY_MM, Mode, headlines

NAME_COLUMNS = ("case", "structure")
"""Columns of `cases.csv` that are names; a column for each metric follows."""
DEFINITIONS = {
    "default": "ASSD: mean of the distances of both surfaces pooled, true voxel spacing; a structure that only one of "
    "the masks holds costs the image's diagonal and Dice 0; one that neither holds scores Dice 1 and 0 mm",
    "challenge": "ASSD: mean of the two directed means, spacing from the affine's diagonal; a structure that the "
    f"prediction lacks costs {CHALLENGE_EMPTY_MM:g} mm and Dice 0, as does one that only the reference lacks",
}
Row = dict[str, str | float]


@dataclass(frozen=True)
class Scores:
    """What an evaluation found."""

    rows: list[Row]
    """One a case and structure: `case`, `structure` and a key for each metric."""
    summary: dict
    """As `summarise` gives it."""
    mode: Mode
    edition: int
    problems: dict[str, str] = field(default_factory=dict)
    """Cases whose prediction was missing or unusable and counts as empty, and why."""
    extra: list[str] = field(default_factory=list)
    """Predictions of cases that have no reference."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What else is worth knowing about a case."""
    labels: dict[str, list[int]] = field(default_factory=dict)
    """The label values of each structure and part, where they were told: which part is which can be chosen."""


def summarise(rows: Iterable[Row]) -> dict:
    """Mean, standard deviation (n - 1; 0 for one case) and median of each headline metric for each structure.

    Returns {structure: {"dice": {"mean", "std", "median", "over_0_8"}, "assd_mm": {"mean", "std", "median"}, ...}},
    where `over_0_8` counts the cases with a Dice above 0.8. Raises ValueError where there is no row.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("no scores to summarise")
    summary: dict[str, dict] = {}
    for structure, own in by_structure(rows).items():
        of_structure: dict[str, dict] = {}
        for metric in headlines():
            column = [row[metric.key] for row in own]
            values = np.array(column, dtype=float)  # (cases,)
            found = moments(values)
            if metric.good_above is not None:
                good = values > metric.good_above
                found[metric.count_key] = int(good.sum())
            of_structure[metric.key] = found
        summary[structure] = of_structure
    return summary


def by_structure(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each structure, structures in the order in which they come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        structure = str(row["structure"])
        group = groups.setdefault(structure, [])
        group.append(row)
    return groups


def moments(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation (n - 1; 0 for one value) and median of `values` (N,), N at least 1."""
    # One value has no deviation; NumPy would give NaN, which JSON has not.
    spread = values.std(ddof=1) if values.size > 1 else 0.0
    return {
        "mean": float(values.mean()),
        "std": float(spread),
        "median": float(np.median(values)),
    }
