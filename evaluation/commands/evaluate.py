"""`vestibule evaluate`: score masks against references."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from evaluation.metrics import MODES
from evaluation.reporting.report.build import VIEWS, Pictures, build_report, missing_packages
from evaluation.reporting.table import table1
from evaluation.scoring.folder import score_folder
from evaluation.scoring.processes import default_workers
from evaluation.scoring.scores import Scores
from vestibule.editions import EDITIONS, get_edition
from vestibule.errors import InputError


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", show_default=True)
@click.option("--mode", type=click.Choice(MODES), default="default", show_default=True, help="Which ASSD: see below.")
@click.option("--intrameatal", type=click.Choice(["1", "2"]), default="2", show_default=True, help="Its label in 2023.")
@click.option("--images", type=click.Path(path_type=Path), help="T2 images to show in the report.")
@click.option("--report/--no-report", "wants_report", default=None, help="Write report.html.  [default: if it can be]")
@click.option("--views", type=click.IntRange(min=0), default=VIEWS, show_default=True, help="Cases one can open there.")
@click.option("--sheets", is_flag=True, help="Also write PNG sheets of all cases.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that share the cases.  [default: the cores]")
def evaluate(
    predictions: Path,
    references: Path,
    out: Path,
    edition: str,
    mode: str,
    intrameatal: str,
    images: Path | None,
    wants_report: bool | None,
    views: int,
    sheets: bool,
    workers: int | None,
) -> None:
    """Score the masks in PREDICTIONS against those in REFERENCES; metrics.json, cases.csv, report.html go into OUT.

    Masks are joined by case, whatever their order. A missing or unusable prediction counts as an empty one and is
    named; the exit code is then 1.

    \b
    --mode default     both surfaces pooled, true voxel spacing
    --mode challenge   the organisers' definitions: mean of the directed
                       means, spacing from the affine's diagonal, 350 mm
                       for an empty prediction
    """
    rules = get_edition(int(edition)).with_intrameatal(int(intrameatal))
    missing = [] if wants_report is False and not sheets else missing_packages()
    if missing and (wants_report or sheets or images):
        raise InputError(f"a report needs {', '.join(missing)}: pip install 'vestibule[evaluation]'")
    workers = workers or default_workers(_at_most(references))
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        scores = score_folder(predictions, references, out, rules, mode, workers, _steps(bar, "scoring"))
        files = [out / "metrics.json", out / "cases.csv"]
        if missing:
            click.echo(f"note: no report.html, {', '.join(missing)} not installed", err=True)
        else:
            wanted = Pictures(images, wants_report is not False, views, sheets)
            folders = predictions, references, out
            files += build_report(scores, *folders, rules, wanted, workers, _steps(bar, "drawing"))
    click.echo("\n".join(map(str, files)))
    report(scores)


def report(scores: Scores) -> None:
    """Print the summary. Raises InputError, which ends in exit code 1, where a prediction counted as empty."""
    cases = len({row["case"] for row in scores.rows})
    name = f"{cases} case{'s' if cases != 1 else ''}"
    table1({name: scores.summary}).print(title=f"crossMoDA {scores.edition}, mode {scores.mode}")
    for case, notes in scores.notes.items():
        click.echo(f"note: {case}: {'; '.join(notes)}", err=True)
    for extra in scores.extra:
        click.echo(f"extra: {extra}: no reference of this case; not scored", err=True)
    for case, problem in scores.problems.items():
        click.echo(f"scored as empty: {case}: {problem}", err=True)
    if scores.problems:
        names = ", ".join(list(scores.problems)[:3]) + (", ..." if len(scores.problems) > 3 else "")
        raise InputError(f"{len(scores.problems)} of {name} without a usable prediction, scored as empty: {names}")


def _steps(bar: Progress, name: str) -> Callable[[int, int], None]:
    task = bar.add_task(name, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _at_most(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 1
