"""`vestibule evaluate`: score masks against references."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from evaluation.commands.options import intrameatal_option, mode_option, views_option
from evaluation.images import find_images, told_faults
from evaluation.metrics import Mode
from evaluation.reporting.outputs import platform_metrics
from evaluation.reporting.report.build import VIEWS, Pictures, build_report, missing_packages
from evaluation.reporting.table import table1
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.folder import score_folder
from evaluation.scoring.processes import chosen_workers
from evaluation.scoring.scores import Scores
from vestibule import logs
from vestibule.commands.options import (
    claim,
    edition_option,
    images_option,
    json_option,
    workers_option,
    write_result,
)
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.progress import progress_bar

NAMES_SHOWN = 3


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@edition_option()
@mode_option()
@intrameatal_option()
@images_option("Folder of the T2 images, to show them in the report.")
@click.option("--report/--no-report", "wants_report", default=None, help="Write report.html.  [default: if it can be]")
@views_option(VIEWS)
@click.option("--sheets", is_flag=True, help="Also write PNG sheets of all cases.")
@json_option("what metrics.json holds")
@workers_option()
def evaluate(
    predictions: Path,
    references: Path,
    out: Path,
    edition: Edition | None,
    mode: Mode,
    intrameatal: str,
    images: Path | None,
    wants_report: bool | None,
    views: int,
    sheets: bool,
    json_path: Path | None,
    workers: int | None,
) -> None:
    r"""Score the masks in PREDICTIONS against those in REFERENCES; metrics.json, cases.csv, report.html go into OUT.

    Masks are joined by case, whatever their order. A missing or unusable prediction counts as an empty one and is
    named; the exit code is then 1.

    \b
    --mode default     both surfaces pooled, true voxel spacing
    --mode challenge   the organisers' definitions: mean of the directed
                       means, spacing from the affine's diagonal, 350 mm
                       for an empty prediction
    """
    told = edition_of_masks(references, edition)
    rules = told.with_intrameatal(int(intrameatal))
    has_pictures = wants_report is not False or sheets

    claim(out)
    # Told before hours of scoring, where somebody asked for what cannot be.
    missing = missing_packages() if has_pictures else []
    names = ", ".join(missing)
    is_asked_for = wants_report or sheets or images
    if missing and is_asked_for:
        raise InputError(f"a report needs {names}: pip install 'vestibule[evaluation]'")

    found = None
    if images is not None and has_pictures:
        found = find_images(images, rules)
    wanted = Pictures(found, wants_report is not False, views, sheets)

    workers = chosen_workers(workers, len(list(references.iterdir())))

    with progress_bar("scoring") as advance:
        scores = score_folder(predictions, references, out, rules, mode, workers, advance)

    files = [out / "metrics.json", out / "cases.csv"]
    image_faults = list(found.refused) if found else []
    if missing:
        logs.tell(f"note: no report.html, {names} not installed")
    elif has_pictures:
        folders = predictions, references, out
        with progress_bar("rendering") as advance:
            built = build_report(scores, *folders, rules, wanted, workers, advance)
        files += built.files
        image_faults += built.image_faults

    if write_result(json_path, platform_metrics(scores)):
        for path in files:
            click.echo(path)
        print_summary(scores)
    report(scores, image_faults)


def print_summary(scores: Scores) -> None:
    """Print mean, deviation and median of each structure."""
    table = table1({_count_of_cases(scores): scores.summary})
    title = f"crossMoDA {scores.edition}, mode {scores.mode}"
    table.print(title=title)


def report(scores: Scores, image_faults: Sequence[str] = ()) -> None:
    """Say on stderr what was odd.

    Raises InputError, which ends in exit code 1, where a mask counted as empty, or an image could not be shown.
    """
    for case, notes in scores.notes.items():
        text = "; ".join(notes)
        logs.tell(f"note: {case}: {text}")
    for extra in scores.extra:
        logs.tell(f"extra: {extra}: no reference of this case; not scored", logging.WARNING)
    for case, problem in scores.problems.items():
        logs.tell(f"scored as empty: {case}: {problem}", logging.WARNING)

    faults = []
    if scores.problems:
        faults.append(_counted_as_empty(scores))
    of_images = told_faults(image_faults)
    if of_images:
        faults.append(of_images)
    if faults:
        raise InputError("; ".join(faults))


def _counted_as_empty(scores: Scores) -> str:
    count = len(scores.problems)
    shown = list(scores.problems)[:NAMES_SHOWN]
    if count > NAMES_SHOWN:
        shown.append("...")
    listed = ", ".join(shown)
    name = _count_of_cases(scores)
    return f"{count} of {name} without a usable prediction, scored as empty: {listed}"


def _count_of_cases(scores: Scores) -> str:
    cases = {row["case"] for row in scores.rows}
    return "1 case" if len(cases) == 1 else f"{len(cases)} cases"
