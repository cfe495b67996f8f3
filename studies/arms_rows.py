"""What `studies/arms.py` leaves: its section, and a table of every score, so that machines can share a section."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from arms_report import Runs, report
from experiment import provenance, publish

from evaluation.scoring.scores import Row
from vestibule.errors import InputError
from vestibule.files import write_text

COLUMNS = ("line", "data", "seed", "minutes", "case", "structure", "dice", "assd_mm", "reference_volume_mm3")
SCORES = ("dice", "assd_mm", "reference_volume_mm3")


def write_rows(found: dict[str, Runs], path: Path) -> None:
    """Write what was found, a line a run, case and structure."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for line, runs in found.items():
        for (data, seed), run in runs.items():
            for row in run["rows"]:
                scores = [f"{row[key]:.4f}" for key in SCORES]
                table.writerow([line, data, seed, f"{run['minutes']:.1f}", row["case"], row["structure"], *scores])
    write_text(path, text.getvalue())


def add_rows(path: Path, found: dict[str, Runs]) -> None:
    """Add the runs of a table to what was found here.

    Args:
        path: A table of `write_rows`.
        found: By title of the line; what is there already stays as it is.

    Raises:
        InputError: It is no such table.
    """
    told: dict[str, Runs] = {}
    try:
        with path.open(newline="") as file:
            for entry in csv.DictReader(file):
                runs = told.setdefault(entry["line"], {})
                key = entry["data"], int(entry["seed"])
                run = runs.setdefault(key, {"rows": [], "minutes": float(entry["minutes"])})
                row: Row = {"case": entry["case"], "structure": entry["structure"]}
                row |= {key: float(entry[key]) for key in SCORES}
                run["rows"].append(row)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: is not a table of rows that arms.py has written ({error})") from error
    for line, runs in told.items():
        found[line] = runs | found.get(line, {})


def write_section(found: dict[str, Runs], run_dirs: list[Path], arguments: argparse.Namespace) -> None:
    """Print and write the section.

    Args:
        found: What was found here, by title of the line; what others found is added.
        run_dirs: Folders of the runs.
        arguments: Of the command line.
    """
    try:
        for path in arguments.others:
            add_rows(path, found)
    except InputError as error:
        raise SystemExit(f"arms: error: {error}") from error
    title = f"## The arms beside each other, {arguments.size} size"
    if arguments.heads:
        title = f"## The arms on real heads with simulated tumours, {arguments.size} size"
    section = [title, "", *report(found), "", *provenance(run_dirs)]
    for path in arguments.others:
        section.append(f"- With the runs of `{path}`")
    name = "arms heads" if arguments.heads else "arms"
    publish(section, f"{name} {arguments.size}", arguments.out, arguments.page)
