"""The contrast report of a finished run: whether tumours survive every step of the method, and are found at its end.

On labelled T1 cases: the T1 itself, phi0_AB(I), the copy as on T1 and as it enters the harmoniser, B', and the way back
from either T2. On labelled unseen T2 cases, where there are any: the T2 and the synthetic T1 of every arm, and the
tumour that the segmenter predicts there. And whether anatomy stays where it is: the shift of every intermediate against
the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from training.data.intermediates import Translators, target_images
from training.data.slices import read_cases
from training.diagnostics.contrast import (
    RING_PX,
    ContrastRow,
    ShiftRow,
    VolumeRow,
    contrast_rows,
    measure_unseen,
    shift_rows,
)
from training.diagnostics.source_case import source_intermediates
from training.run_folder import recorded_config
from training.stage_table import EXPORT
from vestibule.data_folders import VALIDATION
from vestibule.editions import SIZE_CLASSES, get_edition
from vestibule.files import write_json, write_text
from vestibule.pipeline import load_model
from vestibule.progress import track

FOLDER = "evidence"
"""Folder within a run, called as the command."""
DEFINITION = (
    "cnr = (mean inside - mean of the ring) / standard deviation of the ring; intensities in [-1, 1]; the ring is what "
    f"lies more than {RING_PX[0]:g} and at most {RING_PX[1]:g} working voxels from the structure in its own slices and "
    "belongs to no structure; rim: mean of the structure's outermost voxels in its slices less that of the others; "
    "found_mm3: volume of the true tumour that the segmenter predicts as tumour; predicted_mm3: all that it predicts "
    "as tumour; shift: rows and columns of working voxels by which anatomy lies farther back and left than in the "
    "scan, by the agreement of edges"
)

Row = TypeVar("Row")
SizedRow = TypeVar("SizedRow", ContrastRow, VolumeRow)


def write_contrast_report(run_dir: Path) -> list[Path]:
    """Measure every labelled case of a finished run; writes `evidence/evidence.json` and `evidence/evidence.md`.

    T1 cases without a tumour and T2 cases without a reference are left out and counted. Raises InputError where the run
    lacks a stage.
    """
    recorded = recorded_config(run_dir, EXPORT)
    edition = get_edition(recorded["edition"])
    translators = Translators(run_dir)
    contrasts: list[ContrastRow] = []
    volumes: list[VolumeRow] = []
    shifts: list[ShiftRow] = []

    cases = read_cases(run_dir, "source")
    with_tumour = [case for case in cases if any(case.tumour_voxels)]
    for case in track(with_tumour, "contrast in T1 cases"):
        images = source_intermediates(case, run_dir, translators)
        voxel_mm3 = float(np.prod(case.spacing_zyx))
        contrasts += contrast_rows(case.name, images, np.asarray(case.labels), voxel_mm3, edition)
        shifts += shift_rows(case.name, images)

    unseen = target_images(run_dir, edition, VALIDATION)
    labelled = [(image, label) for image, label in unseen.values() if label]
    models = {}
    if labelled:
        bundle = EXPORT.folder(run_dir) / "bundle"
        models = {arm: load_model(bundle, arm) for arm in recorded["arms"]}
    for image, label in track(labelled, "contrast in T2 cases"):
        measured = measure_unseen(image, label, models, edition)
        contrasts += measured.contrasts
        volumes += measured.volumes
        shifts += measured.shifts

    summary = {
        "contrast": summarise_contrast(contrasts),
        "tumour": summarise_volumes(volumes),
        "shift": summarise_shift(shifts),
    }
    record = {
        "definition": DEFINITION,
        "without_tumour": len(cases) - len(with_tumour),
        "unseen_without_reference": len(unseen) - len(labelled),
        **summary,
        "contrasts": [asdict(row) for row in contrasts],
        "found": [asdict(row) for row in volumes],
        "shifts": [asdict(row) for row in shifts],
    }
    record_path = run_dir / FOLDER / "evidence.json"
    table_path = run_dir / FOLDER / "evidence.md"
    write_json(record_path, record)
    write_text(table_path, markdown(summary))
    return [record_path, table_path]


def summarise_contrast(rows: list[ContrastRow]) -> list[dict]:
    """Contrast by structure, intermediate and class of tumour, in order of first appearance."""
    summary = []
    for (structure, intermediate), group in _grouped(rows, lambda row: (row.structure, row.intermediate)):
        for size, members in _by_size(group):
            cnr = [row.cnr for row in members]
            inside = [row.inside_mean for row in members]
            rims = [row.rim for row in members if row.rim is not None]
            # One case has no spread that would say anything of others.
            cnr_sd = 0.0
            if len(cnr) > 1:
                cnr_sd = float(np.std(cnr, ddof=1))
            item = {
                "structure": structure,
                "intermediate": intermediate,
                "size": size,
                "cases": len(members),
                "cnr_mean": float(np.mean(cnr)),
                "cnr_sd": cnr_sd,
                "cnr_median": median(cnr),
                "inside_mean": float(np.mean(inside)),
                "rim_mean": float(np.mean(rims)) if rims else None,
            }
            summary.append(item)
    return summary


def summarise_volumes(rows: list[VolumeRow]) -> list[dict]:
    """Volumes by arm and class of tumour: true, found and predicted in all, and cases in which any of it was found."""
    summary = []
    for arm, group in _grouped(rows, lambda row: row.arm):
        for size, members in _by_size(group):
            item = {
                "arm": arm,
                "size": size,
                "cases": len(members),
                "true_mm3": float(sum(row.true_mm3 for row in members)),
                "found_mm3": float(sum(row.found_mm3 for row in members)),
                "predicted_mm3": float(sum(row.predicted_mm3 for row in members)),
                "cases_found": sum(row.found_mm3 > 0 for row in members),
            }
            summary.append(item)
    return summary


def summarise_shift(rows: list[ShiftRow]) -> list[dict]:
    """Mean and sd of the shift by intermediate."""
    summary = []
    for intermediate, members in _grouped(rows, lambda row: row.intermediate):
        down = [row.rows for row in members]
        left = [row.columns for row in members]
        item = {
            "intermediate": intermediate,
            "cases": len(members),
            "rows_mean": float(np.mean(down)),
            "columns_mean": float(np.mean(left)),
            "rows_sd": float(np.std(down)),
            "columns_sd": float(np.std(left)),
        }
        summary.append(item)
    return summary


def markdown(summary: dict) -> str:
    """The summaries as Markdown tables; those of shift and volume only where there are any."""
    tables = [_contrast_table(summary["contrast"])]
    if summary["shift"]:
        tables.append(_shift_table(summary["shift"]))
    if summary["tumour"]:
        tables.append(_volume_table(summary["tumour"]))
    return "\n".join(tables)


def _contrast_table(summary: list[dict]) -> str:
    rows = []
    for item in summary:
        rim = "-" if item["rim_mean"] is None else f"{item['rim_mean']:+.2f}"
        row = (
            item["structure"],
            item["intermediate"],
            item["size"],
            str(item["cases"]),
            f"{item['cnr_mean']:+.2f} ± {item['cnr_sd']:.2f}",
            f"{item['cnr_median']:+.2f}",
            f"{item['inside_mean']:+.2f}",
            rim,
        )
        rows.append(row)
    header = ("structure", "image", "tumour", "n", "contrast-to-noise", "median", "intensity", "rim")
    return _table(header, rows)


def _shift_table(summary: list[dict]) -> str:
    rows = []
    for item in summary:
        row = (
            item["intermediate"],
            str(item["cases"]),
            f"{item['rows_mean']:+.2f} ± {item['rows_sd']:.2f}",
            f"{item['columns_mean']:+.2f} ± {item['columns_sd']:.2f}",
        )
        rows.append(row)
    return _table(("image", "n", "rows towards the back", "columns towards the left"), rows)


def _volume_table(summary: list[dict]) -> str:
    rows = []
    for item in summary:
        share = f"{item['found_mm3'] / item['true_mm3']:.0%}" if item["true_mm3"] else "-"
        row = (
            item["arm"],
            item["size"],
            str(item["cases"]),
            f"{item['true_mm3']:.0f}",
            share,
            f"{item['predicted_mm3']:.0f}",
            str(item["cases_found"]),
        )
        rows.append(row)
    header = ("arm", "tumour", "n", "true mm³", "of it found", "predicted mm³", "cases found")
    return _table(header, rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    rule = ("---",) * len(header)
    lines = []
    for cells in [header, rule, *rows]:
        joined = " | ".join(cells)
        lines.append(f"| {joined} |\n")
    return "".join(lines)


def _grouped(rows: list[Row], key: Callable[[Row], object]) -> Iterator[tuple]:
    """Each value of `key` with the rows that have it, in order of first appearance."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    yield from groups.items()


def _by_size(rows: list[SizedRow]) -> Iterator[tuple[str, list[SizedRow]]]:
    """All rows, and those of each class of tumour where there are several classes."""
    yield "all", rows
    for size in SIZE_CLASSES:
        members = [row for row in rows if row.size == size]
        if members and len(members) < len(rows):
            yield size, members
