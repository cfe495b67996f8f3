"""Statistics for papers: groups of cases by site and tumour size, and whether one set of predictions beats another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.stats import bootstrap, wilcoxon

from evaluation.metrics import METRICS, Metric, headlines
from evaluation.reporting.table import TextTable, spread, structure_title
from evaluation.scoring.scores import Row, by_structure, moments
from vestibule.editions import SIZE_CLASSES, TUMOUR, Edition

ALL = "all"
"""Name of the group of all cases."""
BATCH = 500
"""Resamples at a time: all at once would take gigabytes for thousands of cases."""


def group_summaries(rows: Iterable[Row], edition: Edition) -> list[dict]:
    """Scores of each structure over all cases, over each site's and over each class of tumour size.

    Sites are those that case names tell, or the edition's only one; sizes are the reference's, where the rows have it.
    A split into one group only is left out.

    Args:
        rows: One a case and structure, with a key for each metric.
        edition: Tells sites and classes of size.

    Returns:
        [{"structure", "group", "cases", "dice": {...}, "assd_mm": {...}, ...}]: each headline metric has the mean,
        sample standard deviation, median and quartiles, and Dice the count above 0.8.
    """
    rows = list(rows)
    size_of = _sizes(rows, edition)
    # What group a case is of in each split; None for a case that a split leaves out.
    splits: dict[str, Callable[[str], str | None]] = {
        ALL: lambda case: ALL,
        "site": edition.site_of,
        "tumour": size_of.get,
    }

    summaries = []
    for structure, own in by_structure(rows).items():
        for split, group_of in splits.items():
            members: dict[str, list[Row]] = {}
            for row in own:
                case = str(row["case"])
                group = group_of(case)
                if group is not None:
                    members.setdefault(group, []).append(row)

            # One site, or one size, is all cases over again.
            if split != ALL and len(members) < 2:
                continue
            for group in sorted(members, key=_group_order):
                names = {"structure": structure, "group": group}
                scores = _summary(members[group])
                summaries.append(names | scores)
    return summaries


def compare(rows: Iterable[Row], other: Iterable[Row], n_resamples: int = 10_000, seed: int = 0) -> list[dict]:
    """Paired comparison of two sets of predictions over the same cases, for each structure and headline metric.

    The bootstrap is `scipy.stats.bootstrap`, percentiles of the mean over cases sampled with replacement. It took the
    place of code of our own that sampled alike: intervals are the same but for the rounding of sums, and may come to
    differ in their last digits where SciPy samples in another order. Metrics of which neither more nor less is better
    are left out.

    Args:
        rows: Scores of the first set, one row a case and structure.
        other: Scores of the second.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap; the same one for each comparison.

    Returns:
        A dict for each structure and metric: `difference` is the mean of `other` less `rows`, `interval_95` its
        bootstrap interval, `better` in how many cases `other` is the better one and `worse` in how many the worse one,
        and `wilcoxon_p` the two-sided p-value of the signed-rank test (1 where no case differs), not corrected for the
        number of tests.

    Raises:
        ValueError: The cases or structures differ.
    """
    first = _by_key(rows)
    second = _by_key(other)
    unshared = first.keys() ^ second.keys()
    if unshared:
        # The first by name, so that the message is the same whatever the order of the files.
        case, structure = min(unshared)
        raise ValueError(f"both must hold the same cases and structures; {structure} of {case} is in one alone")

    comparisons = []
    structures = dict.fromkeys(structure for _, structure in first)
    for structure in structures:
        keys = [key for key in first if key[1] == structure]
        for metric in headlines():
            if metric.higher_is_better is None:
                continue
            # In one order of cases, so that each difference is of one case.
            before = np.array([first[key][metric.key] for key in keys], dtype=float)  # (cases,)
            after = np.array([second[key][metric.key] for key in keys], dtype=float)  # (cases,)

            names = {"structure": structure, "metric": metric.key, "cases": len(keys)}
            found = _paired(after - before, metric, n_resamples, seed)
            comparisons.append(names | found)
    return comparisons


def group_table(arms: dict[str, list[dict]]) -> TextTable:
    """Table of what `group_summaries` gives, for one or more arms."""
    metrics = headlines()
    counted = [metric for metric in metrics if metric.good_above is not None]
    header = ["arm", "structure", "group", "n"]
    for metric in metrics:
        header += [metric.title, "quartiles"]
    for metric in counted:
        title = f"> {metric.good_above:g}"
        # With one such metric the reader knows which it is.
        if len(counted) > 1:
            title = f"{metric.label} {title}"
        header.append(title)

    rows = []
    for arm, summaries in arms.items():
        for summary in summaries:
            structure = summary["structure"]
            name = structure_title(structure)
            count = str(summary["cases"])
            cells = [arm, name, summary["group"], count]
            for metric in metrics:
                values = summary[metric.key]
                first, third = values["quartile_1"], values["quartile_3"]
                cells.append(spread(values))
                cells.append(f"{first:.2f} to {third:.2f}")
            for metric in counted:
                values = summary[metric.key]
                good = values[metric.count_key]
                cells.append(str(good))
            rows.append(tuple(cells))
    return TextTable(tuple(header), tuple(rows), names=3)


def comparison_table(comparisons: dict[str, list[dict]]) -> TextTable:
    """Table of what `compare` gives, for one or more pairs of arms."""
    rows = []
    for pair, found in comparisons.items():
        for item in found:
            structure = item["structure"]
            name = structure_title(structure)
            metric = METRICS[item["metric"]]
            low, high = item["interval_95"]
            cells = (
                pair,
                name,
                metric.title,
                str(item["cases"]),
                f"{item['difference']:+.3f} ({low:+.3f} to {high:+.3f})",
                f"{item['better']} / {item['worse']}",
                f"{item['wilcoxon_p']:.2g}",
            )
            rows.append(cells)
    header = ("arms", "structure", "metric", "n", "difference (95 %)", "better / worse", "Wilcoxon p")
    return TextTable(header, tuple(rows), names=3)


def _sizes(rows: list[Row], edition: Edition) -> dict[str, str]:
    """Class of each case's tumour, by the volume of its reference."""
    classes = {}
    for row in rows:
        volume_mm3 = row.get("reference_volume_mm3")
        if row["structure"] == TUMOUR and volume_mm3 is not None:
            classes[str(row["case"])] = edition.size_class(float(volume_mm3))
    return classes


def _summary(rows: list[Row]) -> dict:
    summary: dict = {"cases": len(rows)}
    for metric in headlines():
        values = np.array([row[metric.key] for row in rows], dtype=float)  # (cases,)
        first, third = np.percentile(values, [25, 75])

        found: dict = moments(values)
        found["quartile_1"] = float(first)
        found["quartile_3"] = float(third)
        if metric.good_above is not None:
            is_good = values > metric.good_above
            found[metric.count_key] = int(is_good.sum())

        summary[metric.key] = found
    return summary


def _paired(differences: np.ndarray, metric: Metric, n_resamples: int, seed: int) -> dict:
    """What `compare` says of the differences (cases,) of a metric."""
    low, high = _interval(differences, n_resamples, seed)
    # The test divides by the spread of the ranks, and has none where nothing differs.
    p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    gains = differences if metric.higher_is_better else -differences
    return {
        "difference": float(differences.mean()),
        "interval_95": [low, high],
        "better": int((gains > 0).sum()),
        "worse": int((gains < 0).sum()),
        "wilcoxon_p": p_value,
    }


def _interval(differences: np.ndarray, n_resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of `differences` (cases,), over cases sampled with replacement."""
    if differences.size < 2:
        # SciPy refuses a single case, every resample of which is itself.
        return float(differences[0]), float(differences[0])
    result = bootstrap(
        (differences,),
        np.mean,
        n_resamples=n_resamples,
        batch=BATCH,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)


def _by_key(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    found = {}
    for row in rows:
        key = (str(row["case"]), str(row["structure"]))
        found[key] = row
    return found


def _group_order(group: str) -> tuple[int, str]:
    """Sites by name, then sizes from none to large."""
    if group not in SIZE_CLASSES:
        return -1, group
    return SIZE_CLASSES.index(group), ""
