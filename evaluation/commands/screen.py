"""`vestibule screen`: which masks are likely to have failed, told without references."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from evaluation.images import Images, find_images, told_faults
from evaluation.reporting.table import TextTable
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.processes import chosen_workers
from evaluation.screening import Screened, screen_folder
from vestibule.commands.options import edition_option, images_option, json_option, workers_option, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.progress import progress_bar
from vestibule.terminal import table_console

NAMES_SHOWN = 10


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@edition_option()
@images_option()
@json_option("what was found")
@workers_option()
def screen(
    predictions: Path, edition: Edition | None, images: Path | None, json_path: Path | None, workers: int | None
) -> None:
    """Say which of the masks in PREDICTIONS are likely to have failed. No references are needed.

    Told are: an unreadable, empty or foreign mask; a volume outside of what the challenge's labels have; further parts
    that are as large as a structure; cochleae on one side only; with --images also masks that are missing, lie on
    another grid or outside the head. The exit code is 1 where any mask is named.
    """
    edition = edition_of_masks(predictions, edition)
    workers = chosen_workers(workers, len(list(predictions.iterdir())))
    known = find_images(images, edition) if images is not None else Images()
    with progress_bar("looking") as advance:
        found = screen_folder(predictions, edition, known, workers, advance)

    cases = [asdict(item) for item in found]
    document = {"edition": edition.year, "cases": cases, "refused_images": list(known.refused)}
    named = [item for item in found if item.reasons]
    if write_result(json_path, document):
        _print(named, len(found))

    # An exit code of 1 lets a script stop before it uploads.
    faults = []
    if named:
        faults.append(f"{len(named)} of {len(found)} masks look as if they had failed: {_names(named)}")
    of_images = told_faults(known.refused)
    if of_images:
        faults.append(of_images)
    if faults:
        raise InputError("; ".join(faults))


def _print(named: list[Screened], count: int) -> None:
    """Print what speaks against masks, of `count` in all."""
    if not named:
        click.echo(f"nothing speaks against any of {count} masks")
        return

    rows = []
    for item in named:
        reasons = "; ".join(item.reasons)
        rows.append((item.case, reasons))
    table = TextTable(("case", "what speaks against it"), tuple(rows))

    table.print(table_console(120))


def _names(named: list[Screened]) -> str:
    cases = [item.case for item in named[:NAMES_SHOWN]]
    shown = ", ".join(cases)
    beyond = len(named) - NAMES_SHOWN
    if beyond <= 0:
        return shown
    return f"{shown} and {beyond} more"
