"""What an evaluation finds: its rows, their summary, and the rules that both follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from evaluation.metrics import CHALLENGE_EMPTY_MM, Mode

COLUMNS = (
    "case",
    "structure",
    "dice",
    "assd_mm",
    "hd95_pooled_mm",
    "hd95_directed_mm",
    "volume_mm3",
    "reference_volume_mm3",
    "volume_error_mm3",
    "components",
    "components_found",
    "components_false",
)
"""Of `cases.csv`, one row a case and structure; `docs/evaluation.md` says what each holds."""
GOOD_DICE = 0.8
"""The paper counts the cases whose Dice is above this."""
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
    """One a case and structure, with the keys of `COLUMNS`."""
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


def summarise(rows: Iterable[Row]) -> dict:
    """Mean, standard deviation (n - 1; 0 for one case) and median of Dice and ASSD for each structure.

    Returns {structure: {"dice": {"mean", "std", "median", "over_0_8"}, "assd_mm": {"mean", "std", "median"}}}, where
    `over_0_8` counts the cases with a Dice above 0.8. Raises ValueError where there is no row.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("no scores to summarise")
    summary = {}
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        values = {metric: np.array([row[metric] for row in own], dtype=float) for metric in ("dice", "assd_mm")}
        summary[structure] = {metric: moments(column) for metric, column in values.items()}
        summary[structure]["dice"]["over_0_8"] = int((values["dice"] > GOOD_DICE).sum())
    return summary


def detection_summary(rows: Iterable[Row]) -> dict:
    """How often each structure was found: counts of cases that have it, of those with a part found, and of parts."""
    rows = list(rows)
    summary = {}
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        summary[structure] = {
            "cases": sum(row["components"] > 0 for row in own),
            "cases_found": sum(row["components_found"] > 0 for row in own),
            **{name: sum(row[name] for row in own) for name in ("components", "components_found", "components_false")},
        }
    return summary


def moments(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation (n - 1; 0 for one value) and median of `values` (N,), N at least 1."""
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return {"mean": float(values.mean()), "std": spread, "median": float(np.median(values))}
