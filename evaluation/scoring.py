"""Score a folder of predictions against a folder of references: rows, their summary, `metrics.json`, `cases.csv`."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.cases import AlignedPair, Pair, join_cases, read_pair
from evaluation.metrics import CHALLENGE_EMPTY_MM, Mode, check_mode, dice, empty_distance, surface_distances
from evaluation.surfaces import bounding_box
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry

COLUMNS = ("case", "structure", "dice", "assd_mm")
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


def score_folder(
    predictions_dir: Path,
    references_dir: Path,
    out_dir: Path,
    edition: int | Edition,
    mode: Mode = "default",
    progress: Callable[[list[Pair]], Iterable[Pair]] = iter,
) -> Scores:
    """Score every reference of a folder, write `metrics.json` and `cases.csv` into `out_dir`, and return the scores.

    `progress` wraps the list of cases, for a bar. Raises InputError where the folders do not belong together or a
    reference cannot be read; a bad prediction costs its own case (`Scores.problems`).
    """
    edition = edition if isinstance(edition, Edition) else get_edition(edition)
    joined = join_cases(predictions_dir, references_dir, edition)
    rows, problems, notes = [], {}, {}
    for pair in progress(joined.pairs):
        aligned = read_pair(pair, check_mode(mode))
        rows += score_case(pair.case, aligned, edition, mode)
        if aligned.problem:
            problems[pair.case] = aligned.problem
        if remarks := [*aligned.notes, *_spacing_note(aligned.geometry, mode)]:
            notes[pair.case] = remarks
    extra = [path.name for path in joined.extra]
    scores = Scores(rows, summarise(rows), mode, edition.year, problems, extra, notes)
    write_scores(Path(out_dir), scores)
    return scores


def score_case(case: str, pair: AlignedPair, edition: Edition, mode: Mode = "default") -> list[Row]:
    """Rows of one case, a structure each, with the keys of `COLUMNS`."""
    spacing = reported_spacing(pair.geometry, mode)
    box = _union_box(pair)
    rows = []
    for structure, labels in edition.structures.items():
        prediction, reference = (_holds(values[box], labels) for values in (pair.prediction, pair.reference))
        if prediction.any() and reference.any():
            distances = surface_distances(prediction, reference, spacing)
            scores = {"dice": dice(prediction, reference), "assd_mm": distances.assd(mode)}
        else:
            scores = _empty_scores(bool(prediction.any() or reference.any()), pair.geometry, mode)
        rows.append({"case": case, "structure": structure, **scores})
    return rows


def reported_spacing(geometry: Geometry, mode: Mode) -> tuple[float, float, float]:
    """Voxel spacing in mm (z, y, x) that distances are measured with.

    The organisers read it off the affine's diagonal, which is too small for an oblique image; `challenge` does so too.
    """
    if check_mode(mode) == "default":
        return geometry.spacing_zyx
    diagonal = np.abs(np.diag(geometry.matrix))[::-1]
    return tuple(float(value) for value in diagonal * geometry.spacing_zyx)


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
        summary[structure] = {metric: _moments(column) for metric, column in values.items()}
        summary[structure]["dice"]["over_0_8"] = int((values["dice"] > GOOD_DICE).sum())
    return summary


def write_scores(out_dir: Path, scores: Scores) -> None:
    """Write `metrics.json` and `cases.csv`. Raises InputError where the disk refuses."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        _write_whole(out_dir / "cases.csv", _as_csv(scores.rows))
        document = json.dumps(platform_metrics(scores), indent=2, allow_nan=False)
        _write_whole(out_dir / "metrics.json", document + "\n")
    except OSError as error:
        raise InputError(f"{error.filename or out_dir}: cannot be written ({error.strerror})") from error


def platform_metrics(scores: Scores) -> dict:
    """Scores in the shape of evalutils and grand-challenge.org: `case` by metric and index, and `aggregates`."""
    by_case: dict[str, dict] = {}
    for row in scores.rows:
        values = by_case.setdefault(row["case"], {})
        values.update({f"{row['structure']}_{key}": value for key, value in row.items() if key not in COLUMNS[:2]})
    columns = {"case": {str(index): case for index, case in enumerate(by_case)}}
    aggregates = {}
    for name in dict.fromkeys(key for values in by_case.values() for key in values):
        cells = [values.get(name) for values in by_case.values()]
        columns[name] = {str(index): cell for index, cell in enumerate(cells)}
        aggregates[name] = _describe(cells)
    return {
        "mode": scores.mode,
        "definition": DEFINITIONS[scores.mode],
        "edition": scores.edition,
        "case": columns,
        "aggregates": aggregates,
        "summary": scores.summary,
        "scored_as_empty": scores.problems,
        "extra": scores.extra,
        "notes": scores.notes,
    }


def _union_box(pair: AlignedPair) -> tuple[slice, slice, slice]:
    boxes = [box for box in map(bounding_box, (pair.prediction, pair.reference)) if box]
    if not boxes:
        return (slice(0, 1),) * 3
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _spacing_note(geometry: Geometry, mode: Mode) -> list[str]:
    reported = reported_spacing(geometry, mode)
    if np.allclose(reported, geometry.spacing_zyx, rtol=0.01):
        return []
    texts = [" x ".join(f"{length:.3g}" for length in lengths) for lengths in (reported, geometry.spacing_zyx)]
    return [f"distances use the affine's diagonal, {texts[0]} mm; the voxels are {texts[1]} mm (z x y x x)"]


def _holds(values: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    return np.logical_or.reduce([values == label for label in labels])


def _empty_scores(in_one: bool, geometry: Geometry, mode: Mode) -> Row:
    if mode == "default" and not in_one:
        return {"dice": 1.0, "assd_mm": 0.0}
    return {"dice": 0.0, "assd_mm": empty_distance(geometry.size_zyx, geometry.spacing_zyx, mode)}


def _moments(values: np.ndarray) -> dict[str, float]:
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return {"mean": float(values.mean()), "std": spread, "median": float(np.median(values))}


def _describe(cells: list[float | None]) -> dict[str, float]:
    values = np.array([cell for cell in cells if cell is not None], dtype=float)
    moments = _moments(values)
    low, quarter, half, three_quarters, high = (float(q) for q in np.percentile(values, [0, 25, 50, 75, 100]))
    return {
        "count": int(values.size),
        "mean": moments["mean"],
        "std": moments["std"],
        "min": low,
        "25pc": quarter,
        "50pc": half,
        "75pc": three_quarters,
        "max": high,
    }


def _as_csv(rows: list[Row]) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if not all(math.isfinite(value) for value in row.values() if isinstance(value, float)):
            raise ValueError(f"{row['case']}: a score is not finite: {row}")
        writer.writerow(row)
    return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
