"""Statistics for papers: groups of cases by site and tumour size, and whether one set of predictions beats another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import wilcoxon

from evaluation.metrics import HIGHER_IS_BETTER
from evaluation.reporting.table import STRUCTURE_NAMES, TextTable, spread
from evaluation.scoring.scores import GOOD_DICE, Row, moments
from vestibule.editions import case_site

SMALL_MM3, LARGE_MM3 = 288.0, 2340.0
"""Tumours below and above which the method's successor treats as small and large (tumour blending, crossMoDA 2022)."""
METRICS = ("dice", "assd_mm")
METRIC_NAMES = {"dice": "Dice", "assd_mm": "ASSD (mm)"}


def group_summaries(rows: Iterable[Row]) -> list[dict]:
    """Scores of each structure over all cases, over each site's and over each class of tumour size.

    Returns [{"structure", "group", "cases", "dice": {...}, "assd_mm": {...}}], where each metric has the mean, sample
    standard deviation, median and quartiles, and `dice` the count above 0.8. Sites are those that case names tell;
    sizes are the reference's, where the rows have it. A split into one group only is left out.
    """
    rows = list(rows)
    sizes = {row["case"]: size_class(row["reference_volume_mm3"]) for row in rows if _is_sized(row)}
    splits = [
        ("all", lambda row: "all"),
        ("site", lambda row: case_site(row["case"])),
        ("tumour", lambda row: sizes.get(row["case"])),
    ]
    summaries = []
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        for split, group_of in splits:
            groups = sorted({group_of(row) for row in own} - {None}, key=_group_order)
            if split != "all" and len(groups) < 2:
                continue
            for group in groups:
                members = [row for row in own if group_of(row) == group]
                summaries.append({"structure": structure, "group": group, **_summary(members)})
    return summaries


def size_class(volume_mm3: float) -> str:
    """Class of a tumour of `volume_mm3`: `no tumour`, `small` (< 288), `medium` or `large` (> 2340)."""
    if volume_mm3 <= 0:
        return "no tumour"
    return "small" if volume_mm3 < SMALL_MM3 else "large" if volume_mm3 > LARGE_MM3 else "medium"


def compare(rows: Iterable[Row], other: Iterable[Row], draws: int = 10_000, seed: int = 0) -> list[dict]:
    """Paired comparison of two sets of predictions over the same cases, for each structure and metric.

    `difference` is the mean of `other` less `rows`, `interval_95` its percentile bootstrap over `draws` draws of the
    cases, `better` in how many cases `other` is the better one, and `wilcoxon_p` the two-sided p-value of the
    signed-rank test (1 where no case differs), not corrected for the number of tests. Raises ValueError where the cases
    or structures differ.
    """
    first, second = _by_key(rows), _by_key(other)
    if first.keys() != second.keys():
        case, structure = min(first.keys() ^ second.keys())
        raise ValueError(f"both must hold the same cases and structures; {structure} of {case} is in one alone")
    comparisons = []
    for structure in dict.fromkeys(structure for _, structure in first):
        keys = [key for key in first if key[1] == structure]
        for metric in METRICS:
            differences = np.array([second[key][metric] - first[key][metric] for key in keys])
            comparison = {"structure": structure, "metric": metric, "cases": len(keys)}
            comparisons.append(comparison | _paired(differences, metric, draws, seed))
    return comparisons


def group_table(arms: dict[str, list[dict]]) -> TextTable:
    """Table of what `group_summaries` gives, for one or more arms."""
    rows = []
    for arm, summaries in arms.items():
        for summary in summaries:
            name = STRUCTURE_NAMES.get(summary["structure"], summary["structure"])
            cells = [arm, name, summary["group"], str(summary["cases"])]
            for metric in METRICS:
                values = summary[metric]
                cells += [spread(values), f"{values['quartile_1']:.2f} to {values['quartile_3']:.2f}"]
            rows.append((*cells, str(summary["dice"]["over_0_8"])))
    header = ("arm", "structure", "group", "n", "Dice", "quartiles", "ASSD (mm)", "quartiles", "> 0.8")
    return TextTable(header, tuple(rows), names=3)


def comparison_table(comparisons: dict[str, list[dict]]) -> TextTable:
    """Table of what `compare` gives, for one or more pairs of arms."""
    rows = []
    for pair, found in comparisons.items():
        for item in found:
            low, high = item["interval_95"]
            structure = STRUCTURE_NAMES.get(item["structure"], item["structure"])
            rows.append(
                (
                    *(pair, structure, METRIC_NAMES[item["metric"]], str(item["cases"])),
                    f"{item['difference']:+.3f} ({low:+.3f} to {high:+.3f})",
                    f"{item['better']} / {item['worse']}",
                    f"{item['wilcoxon_p']:.2g}",
                )
            )
    header = ("arms", "structure", "metric", "n", "difference (95 %)", "better / worse", "Wilcoxon p")
    return TextTable(header, tuple(rows), names=3)


def _summary(rows: list[Row]) -> dict:
    summary: dict = {"cases": len(rows)}
    for metric in METRICS:
        values = np.array([row[metric] for row in rows], dtype=float)
        first, third = (float(value) for value in np.percentile(values, [25, 75]))
        summary[metric] = moments(values) | {"quartile_1": first, "quartile_3": third}
    summary["dice"]["over_0_8"] = sum(row["dice"] > GOOD_DICE for row in rows)
    return summary


def _paired(differences: np.ndarray, metric: str, draws: int, seed: int) -> dict:
    generator = np.random.default_rng(seed)
    # A few hundred draws at a time: all at once would take gigabytes for thousands of cases.
    means = [
        generator.choice(differences, (min(500, draws - start), differences.size)).mean(axis=1)
        for start in range(0, draws, 500)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    gains = differences if metric in HIGHER_IS_BETTER else -differences
    return {
        "difference": float(differences.mean()),
        "interval_95": [float(low), float(high)],
        "better": int((gains > 0).sum()),
        "worse": int((gains < 0).sum()),
        "wilcoxon_p": float(wilcoxon(differences).pvalue) if differences.any() else 1.0,
    }


def _by_key(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    return {(row["case"], row["structure"]): row for row in rows}


def _is_sized(row: Row) -> bool:
    return row["structure"] == "vs" and "reference_volume_mm3" in row


def _group_order(group: str) -> tuple[int, str]:
    sizes = ("no tumour", "small", "medium", "large")
    return (sizes.index(group), "") if group in sizes else (-1, group)
