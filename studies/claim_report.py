"""The section of `studies/claim.py`: a line for each way to fill B', with its differences to others."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean

from experiment import averaged, dice_difference

from evaluation.reporting.table import TextTable, spread
from evaluation.scoring.scores import Row, summarise
from training.arms import BASELINE
from vestibule.editions import TUMOUR

Runs = dict[tuple[int, int], dict]
"""What was found, by seed and training: `rows` of scores, and `contrast` in B' (None where there is no B')."""
CHOSEN = "chosen level"
"""What stands behind a kind's name in the title of the line at the level that needs no label."""
AGAINST = ("naive", "none", BASELINE.name)
"""Lines that all others are compared with, where they are there."""
FAILED_MM = 5.0
"""A tumour with a greater ASSD was missed or is elsewhere; an empty mask has the image's diagonal."""


def report(found: dict[str, Runs], chosen: dict[str, dict[int, int | None]]) -> list[str]:
    """The section.

    Args:
        found: Runs by title of the line.
        chosen: Level of each kind by seed.

    Returns:
        Lines in Markdown.
    """
    against = [name for name in AGAINST if name in found]
    rows = []
    for name, runs in found.items():
        pooled = rows_of(runs.values())
        summary = summarise(pooled)[TUMOUR]
        cells = [
            name,
            str(len(runs)),
            contrast_of(runs),
            spread(summary["dice"]),
            str(summary["dice"]["over_0_8"]),
            str(failures(pooled)),
            spread(summary["assd_mm"]),
        ]
        for base in against:
            told = difference(found[base], runs) if base != name else ""
            cells.append(told)
        rows.append(tuple(cells))
    header = ["into B'", "runs", "contrast in B'", "VS Dice", "> 0.8", "failures", "VS ASSD (mm)"]
    header += [f"less {name} (95 %)" for name in against]
    table = TextTable(tuple(header), tuple(rows), names=1)

    cases = {row["case"] for runs in found.values() for row in rows_of(runs.values())}
    lines = [
        f"{len(cases)} unseen T2 phantoms; a run is one training of one seed. Failures are masks whose tumour has an "
        f"ASSD above {FAILED_MM:g} mm. Differences in VS Dice are of the means over the runs that both lines have, "
        "paired by case.",
        "",
        table.markdown,
    ]
    for kind, levels in chosen.items():
        if not levels:
            continue
        told = ", ".join(f"{level} in seed {seed}" for seed, level in levels.items())
        lines.append(f"- Level that `sweep --ignore-outline` chooses for `{kind}`: {told}.")
    missed = missed_by("singan", found)
    return [*lines, missed] if missed else lines


def missed_by(kind: str, found: dict[str, Runs]) -> str:
    """A line on by how much the chosen level misses the best one, which only labels tell; empty where not all is known.

    Args:
        kind: Of the harmoniser.
        found: Runs by title of the line.
    """
    title = f"{kind}, {CHOSEN}"
    dice = {}
    for name, runs in found.items():
        if name.startswith(f"{kind}, n*"):
            summary = summarise(rows_of(runs.values()))[TUMOUR]
            dice[name] = summary["dice"]["mean"]
    if title not in found or not dice:
        return ""
    best = max(dice, key=lambda name: dice[name])
    return f"- {title}, less the best that was trained ({best}): {difference(found[best], found[title])}."


def difference(first: Runs, second: Runs) -> str:
    """Mean VS Dice of `second` less that of `first` over the runs that both have, with its interval; empty for none."""
    both = [key for key in second if key in first]
    if not both:
        return ""
    before = averaged([first[key]["rows"] for key in both])
    after = averaged([second[key]["rows"] for key in both])
    return dice_difference(before, after)


def failures(rows: list[Row]) -> int:
    """How many tumours were missed or are elsewhere."""
    count = 0
    for row in rows:
        if row["structure"] == TUMOUR and float(row["assd_mm"]) > FAILED_MM:
            count += 1
    return count


def contrast_of(runs: Runs) -> str:
    """Mean contrast in B', as text; empty where there is no B'."""
    contrasts = [run["contrast"] for run in runs.values() if run["contrast"] is not None]
    return f"{mean(contrasts):+.2f}" if contrasts else ""


def rows_of(runs: Iterable[dict]) -> list[Row]:
    """The rows of all runs."""
    rows = []
    for run in runs:
        rows += run["rows"]
    return rows
