"""The section of `studies/arms.py`: a line for each way to train, with its differences to the arms that frame it."""

from __future__ import annotations

from statistics import mean

from claim_report import FAILED_MM, failures, rows_of
from experiment import averaged, dice_difference

from evaluation.reporting.table import TextTable, spread
from evaluation.scoring.scores import Row, summarise
from training.arms import BASELINE, UPPER_BOUND
from vestibule.editions import COCHLEA, TUMOUR

Runs = dict[tuple[str, int], dict]
"""What was found, by data and seed: `rows` of scores, and `minutes` of training where they are told."""
AGAINST = (BASELINE.name, UPPER_BOUND.name)
"""Lines that all others are compared with, where they are there."""


def report(found: dict[str, Runs]) -> list[str]:
    """The section.

    Args:
        found: Runs by title of the line.

    Returns:
        Lines in Markdown.
    """
    against = [name for name in AGAINST if name in found]
    is_timed = all("minutes" in run for runs in found.values() for run in runs.values())
    rows = []
    for name, runs in found.items():
        pooled = rows_of(runs.values())
        summary = summarise(pooled)
        tumour = summary[TUMOUR]
        cells = [
            name,
            str(len(runs)),
            str(failures(pooled)),
            spread(tumour["dice"]),
            str(tumour["dice"]["over_0_8"]),
            spread(tumour["assd_mm"]),
            spread(summary[COCHLEA]["dice"]) if COCHLEA in summary else "",
        ]
        for base in against:
            cells.append(difference(found[base], runs) if base != name else "")
        if is_timed:
            cells.append(f"{mean(run['minutes'] for run in runs.values()):.0f}")
        rows.append(tuple(cells))

    header = ["line", "runs", "failures", "VS Dice", "> 0.8", "VS ASSD (mm)", "cochlea Dice"]
    header += [f"less {name} (95 %)" for name in against]
    if is_timed:
        header.append("minutes")
    table = TextTable(tuple(header), tuple(rows), names=1)
    cases = {row["case"] for runs in found.values() for row in rows_of(runs.values())}
    return [
        f"{len(cases)} unseen T2. Failures are masks whose tumour has an ASSD above {FAILED_MM:g} mm, empty ones among "
        "them. Differences in VS Dice are of the means over the runs that both lines have, paired by case."
        + (" Minutes are of all stages that a line needs, in one process." if is_timed else ""),
        "",
        table.markdown,
        *shares(found),
    ]


def shares(found: dict[str, Runs]) -> list[str]:
    """A line a structure: the mean Dice of each line as a share of the upper bound's, over the runs that both have."""
    bound = found.get(UPPER_BOUND.name)
    if not bound:
        return []
    lines = []
    for structure in (TUMOUR, COCHLEA):
        told = []
        for name, runs in found.items():
            both = [key for key in runs if key in bound]
            own = mean_dice([runs[key]["rows"] for key in both], structure)
            most = mean_dice([bound[key]["rows"] for key in both], structure)
            if own is not None and most and name != UPPER_BOUND.name:
                told.append(f"{name} {100 * own / most:.0f} %")
        if told:
            lines.append(f"- {structure}, mean Dice as a share of {UPPER_BOUND.name}: {', '.join(told)}.")
    return lines


def mean_dice(runs: list[list[Row]], structure: str) -> float | None:
    """Mean Dice of a structure over all rows of all runs; None where there are none."""
    values = []
    for rows in runs:
        values += [float(row["dice"]) for row in rows if row["structure"] == structure]
    return mean(values) if values else None


def difference(first: Runs, second: Runs) -> str:
    """Mean VS Dice of `second` less that of `first`, with its interval; empty where both have no run of one seed."""
    both = [key for key in second if key in first]
    if not both:
        return ""
    return dice_difference(means_of(first, both), means_of(second, both))


def means_of(runs: Runs, keys: list[tuple[str, int]]) -> list[Row]:
    """One row a case and structure: the mean over the seeds of each data set, one set after the other.

    Args:
        runs: Of a line.
        keys: Those of its runs that count.
    """
    sets: dict[str, list[list[Row]]] = {}
    for data, seed in keys:
        sets.setdefault(data, []).append(runs[data, seed]["rows"])
    rows = []
    for own in sets.values():
        rows += averaged(own)
    return rows
