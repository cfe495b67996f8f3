"""`vestibule table1`: several arms side by side, in the form of the paper's Table 1."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation.commands.statistics import read_arms
from evaluation.reporting.table import table1
from evaluation.scoring.scores import summarise
from vestibule.commands.options import edition_option, json_option, resolve_edition, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import write_text
from vestibule.terminal import table_console


@click.command("table1")
@click.argument("arms", nargs=-1, required=True, metavar="ARM=SCORES...")
@edition_option("The challenge's year; only to refuse scores whose case names are of another one.")
@json_option("the numbers")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Also write the table as Markdown.")
@click.option("--latex", "latex_path", type=click.Path(path_type=Path), help="Also write the table as LaTeX.")
def table1_command(
    arms: tuple[str, ...],
    edition: Edition | None,
    json_path: Path | None,
    markdown_path: Path | None,
    latex_path: Path | None,
) -> None:
    """Print mean ± sd (median) of Dice and ASSD and the count of cases above 0.8, an arm a row.

    SCORES is a folder that `vestibule evaluate` wrote.
    """
    summaries = {}
    for arm, rows in read_arms(arms).items():
        if edition is not None:
            resolve_edition(edition, {str(row["case"]) for row in rows}, arm)
        summaries[arm] = summarise(rows)
    try:
        table = table1(summaries)
    except ValueError as error:
        raise InputError(str(error)) from error
    if write_result(json_path, {"arms": summaries}):
        table.print(table_console(100), title="mean ± sd (median)")
    if markdown_path:
        write_text(markdown_path, table.markdown)
    if latex_path:
        write_text(latex_path, table.latex)
