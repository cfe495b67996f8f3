"""`vestibule screen`: which masks are likely to have failed, told without references."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from evaluation.reporting.outputs import write_document
from evaluation.reporting.table import TextTable
from evaluation.scoring.processes import default_workers
from evaluation.screening import screen_folder
from vestibule.editions import EDITIONS
from vestibule.errors import InputError


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="The T2 images that were segmented.")
@click.option("--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write what was found to this file.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that share the cases.  [default: the cores]")
def screen(predictions: Path, images: Path | None, edition: str, json_path: Path | None, workers: int | None) -> None:
    """Say which of the masks in PREDICTIONS are likely to have failed. No references are needed.

    Told are: an unreadable, empty or foreign mask; a volume outside of what the challenge's labels have; further parts
    that are as large as a structure; cochleae on one side only; with --images also masks that are missing, lie on
    another grid or outside the head. The exit code is 1 where any mask is named.
    """
    at_most = sum(1 for _ in predictions.iterdir()) if predictions.is_dir() else 1
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking", total=None)
        found = screen_folder(
            *(predictions, int(edition), images, workers or default_workers(at_most)),
            on_case=lambda done, total: bar.update(task, completed=done, total=total),
        )
    named = [item for item in found if item.reasons]
    if json_path:
        write_document(json_path, {"edition": int(edition), "cases": [asdict(item) for item in found]})
    if not named:
        click.echo(f"nothing speaks against any of {len(found)} masks")
        return
    table = TextTable(("case", "what speaks against it"), tuple((item.case, "; ".join(item.reasons)) for item in named))
    table.print(Console(width=None if Console().is_terminal else 120))
    raise InputError(f"{len(named)} of {len(found)} masks look as if they had failed: {_some(named)}")


def _some(named: list) -> str:
    names = [item.case for item in named]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
