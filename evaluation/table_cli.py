"""`vestibule table1`: several arms side by side, in the form of the paper's Table 1."""

from __future__ import annotations

import csv
from pathlib import Path

import click
from rich.console import Console

from evaluation.scoring import summarise
from evaluation.table import table1, write_table1_json
from vestibule.errors import InputError


@click.command("table1")
@click.argument("arms", nargs=-1, required=True, metavar="ARM=SCORES...")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the numbers to this file.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Also write the table as Markdown.")
def table1_command(arms: tuple[str, ...], json_path: Path | None, markdown_path: Path | None) -> None:
    """Print mean ± sd (median) of Dice and ASSD and the count of cases above 0.8, an arm a row.

    SCORES is a folder that `vestibule evaluate` wrote.
    """
    summaries = {}
    for arm in arms:
        name, equals, folder = arm.partition("=")
        if not (name and equals and folder):
            raise click.UsageError(f"expected ARM=SCORES, such as oneshot=runs/demo/scores/oneshot, got {arm!r}")
        summaries[name] = summarise(read_rows(Path(folder)))
    try:
        table = table1(summaries)
    except ValueError as error:
        raise InputError(str(error)) from error
    table.print(Console(width=100), title="mean ± sd (median)")
    if json_path:
        write_table1_json(json_path, summaries)
    if markdown_path:
        markdown_path.write_text(table.markdown, encoding="utf-8")


def read_rows(scores_dir: Path) -> list[dict]:
    """The rows of `cases.csv` in a folder of scores. Raises InputError where it is missing or not such a file."""
    path = scores_dir / "cases.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        scored = [{**row, "dice": float(row["dice"]), "assd_mm": float(row["assd_mm"])} for row in rows]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run vestibule evaluate first") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a table of scores as vestibule evaluate writes it ({error})") from error
    if not scored:
        raise InputError(f"{path}: holds no scores")
    return scored
