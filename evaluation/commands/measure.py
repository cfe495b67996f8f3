"""`vestibule measure`: sizes of tumours and cochleae in masks, and growth between dates."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from evaluation.measurement.growth import Growth, dates_of, growth_of
from evaluation.measurement.sizes import Sizes, measure_file
from evaluation.reporting.table import TextTable
from evaluation.scoring.cases import edition_of_masks, masks_by_case, natural_order
from evaluation.scoring.processes import chosen_workers, each_in_a_process
from vestibule.commands.options import edition_option, json_option, workers_option, write_result
from vestibule.csv_cells import escaped
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import write_text
from vestibule.progress import progress_bar
from vestibule.terminal import table_console

NOTICE = "For research. Not a medical device: not for diagnosis, treatment or any decision about a patient."
"""Stands in every file."""


@click.command()
@click.argument("masks", type=click.Path(path_type=Path))
@click.option("--dates", type=click.Path(path_type=Path), help="CSV with the columns case, patient and date.")
@edition_option()
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="Also write the sizes to this file.")
@click.option("--growth-csv", "growth_path", type=click.Path(path_type=Path), help="Also write growth to this file.")
@json_option("all of it")
@workers_option()
def measure(
    masks: Path,
    dates: Path | None,
    edition: Edition | None,
    csv_path: Path | None,
    growth_path: Path | None,
    json_path: Path | None,
    workers: int | None,
) -> None:
    """Measure the tumours and cochleae in MASKS, a folder of masks.

    Told are: the tumour's volume in mL and mm3, its largest diameter in the axial plane and, where the labels tell it,
    that of the part outside of the canal with the grade of Kanzaki et al. 2003, its side and the number of its parts,
    and the volume of each cochlea. With several dates of a patient, from --dates or from names that end in one
    (patient7_2021-03-09), also growth in mL and percent and the doubling time. Not for clinical use.
    """
    edition = edition_of_masks(masks, edition)
    jobs = _jobs(masks, edition)
    visits = dates_of((case for case, _ in jobs), dates)

    workers = chosen_workers(workers, len(jobs))
    found: dict[str, Sizes] = {}
    look = partial(_measure_job, edition=edition)
    with progress_bar("measuring") as advance:
        for (case, path), sizes in each_in_a_process(look, jobs, workers):
            found[case] = sizes or Sizes(case, problem=f"{path}: the process that read it died")
            advance(len(found), len(jobs))
    measured = [found[case] for case, _ in jobs]
    growths = growth_of(measured, visits)

    if csv_path:
        write_text(csv_path, _csv(Sizes, measured))
    if growth_path:
        write_text(growth_path, _csv(Growth, growths))
    document = {
        "notice": NOTICE,
        "edition": edition.year,
        "cases": [asdict(item) for item in measured],
        "growth": [asdict(item) for item in growths],
    }
    if write_result(json_path, document):
        _print(measured, growths)

    unread = [item for item in measured if item.volume_mm3 is None]
    if unread:
        raise InputError(f"{len(unread)} of {len(measured)} masks could not be measured: {unread[0].problem}")


def _jobs(folder: Path, edition: Edition) -> list[tuple[str, Path]]:
    """Each case with its mask. Raises InputError where there are two of a case."""
    found = masks_by_case(folder, edition)
    jobs = []
    for case in sorted(found, key=natural_order):
        first, *others = found[case]
        if others:
            raise InputError(f"{first}: {others[0].name} is a mask of case {case} too; keep one of them")
        jobs.append((case, first))
    return jobs


def _measure_job(job: tuple[str, Path], edition: Edition) -> Sizes:
    case, path = job
    return measure_file(path, case, edition)


def _csv(kind: type, items: Sequence[Any]) -> str:
    """Rows of dataclasses under the names of their fields; what is not known is blank. The notice ends every row."""
    names = [field.name for field in fields(kind)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, "notice"])
    for item in items:
        cells = []
        for name in names:
            value = getattr(item, name)
            cells.append(escaped(value) if isinstance(value, str) else _number(value))
        writer.writerow([*cells, NOTICE])
    return stream.getvalue()


def _number(value: float | int | None, digits: int = 4) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def _print(measured: list[Sizes], growths: list[Growth]) -> None:
    rows = []
    for item in measured:
        row = (
            item.case,
            item.side or "",
            _number(item.volume_ml, 2),
            _number(item.axial_diameter_mm, 1),
            _number(item.extrameatal_diameter_mm, 1),
            _number(item.grade),
            _number(item.parts),
            _number(item.cochlea_left_mm3, 0),
            _number(item.cochlea_right_mm3, 0),
            item.problem or "",
        )
        rows.append(row)
    sizes = ("VS mL", "axial mm", "extra-meatal mm", "grade", "parts", "cochlea L mm3", "cochlea R mm3")
    header = ("case", "side", *sizes, "problem")
    console = table_console(160)
    TextTable(header, tuple(rows)).print(console)

    if growths:
        changes = []
        for growth in growths:
            change = (
                growth.patient,
                f"{growth.earlier} -> {growth.later}",
                str(growth.days),
                f"{growth.growth_ml:+.2f}",
                "" if growth.growth_percent is None else f"{growth.growth_percent:+.0f}",
                _number(growth.doubling_days, 0),
                growth.problem or "",
            )
            changes.append(change)
        columns = ("patient", "masks", "days", "growth mL", "growth %", "doubling days", "problem")
        TextTable(columns, tuple(changes)).print(console)
    click.echo(NOTICE)
