"""`vestibule evaluate`: score masks against references."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from evaluation.metrics import MODES
from evaluation.processes import default_workers
from evaluation.scores import Scores
from evaluation.scoring import score_folder
from evaluation.table import table1
from vestibule.editions import EDITIONS, get_edition
from vestibule.errors import InputError


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", show_default=True)
@click.option("--mode", type=click.Choice(MODES), default="default", show_default=True, help="Which ASSD: see below.")
@click.option("--intrameatal", type=click.Choice(["1", "2"]), default="2", show_default=True, help="Its label in 2023.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that share the cases.  [default: the cores]")
def evaluate(
    predictions: Path, references: Path, out: Path, edition: str, mode: str, intrameatal: str, workers: int | None
) -> None:
    """Score the masks in PREDICTIONS against those in REFERENCES; write metrics.json and cases.csv into OUT.

    Masks are joined by case, whatever their order. A missing or unusable prediction counts as an empty one and is
    named; the exit code is then 1.

    \b
    --mode default     both surfaces pooled, true voxel spacing
    --mode challenge   the organisers' definitions: mean of the directed
                       means, spacing from the affine's diagonal, 350 mm
                       for an empty prediction
    """
    rules = get_edition(int(edition)).with_intrameatal(int(intrameatal))
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
        scores = score_folder(
            *(predictions, references, out, rules, mode, workers or default_workers(_at_most(references))),
            on_case=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report(scores, out)


def report(scores: Scores, out_dir: Path) -> None:
    """Print the summary. Raises InputError, which ends in exit code 1, where a prediction counted as empty."""
    cases = len({row["case"] for row in scores.rows})
    name = f"{cases} case{'s' if cases != 1 else ''}"
    table1({name: scores.summary}).print(title=f"crossMoDA {scores.edition}, mode {scores.mode}")
    click.echo(f"{out_dir / 'metrics.json'}  {out_dir / 'cases.csv'}")
    for case, notes in scores.notes.items():
        click.echo(f"note: {case}: {'; '.join(notes)}", err=True)
    for extra in scores.extra:
        click.echo(f"extra: {extra}: no reference of this case; not scored", err=True)
    for case, problem in scores.problems.items():
        click.echo(f"scored as empty: {case}: {problem}", err=True)
    if scores.problems:
        names = ", ".join(list(scores.problems)[:3]) + (", ..." if len(scores.problems) > 3 else "")
        raise InputError(f"{len(scores.problems)} of {name} without a usable prediction, scored as empty: {names}")


def _at_most(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 1
