"""`vestibule statistics`: scores by site and tumour size, and arms against each other."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from evaluation.reporting.outputs import read_rows, write_document, write_text
from evaluation.statistics import compare, comparison_table, group_summaries, group_table
from vestibule.errors import InputError


@click.command()
@click.argument("arms", nargs=-1, required=True, metavar="ARM=SCORES...")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the numbers to this file.")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Also write the tables as Markdown.")
@click.option("--latex", "latex_path", type=click.Path(path_type=Path), help="Also write the tables as LaTeX.")
@click.option("--draws", type=click.IntRange(min=100), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
def statistics(
    arms: tuple[str, ...],
    json_path: Path | None,
    markdown_path: Path | None,
    latex_path: Path | None,
    draws: int,
    seed: int,
) -> None:
    """Print mean ± sd (median) and quartiles of Dice and ASSD over all cases, by site and by tumour size.

    SCORES is a folder that `vestibule evaluate` wrote. Further arms are compared with the first, case by case: the mean
    difference with its bootstrap interval, and Wilcoxon's signed-rank test.
    """
    rows = read_arms(arms)
    groups = {arm: group_summaries(own) for arm, own in rows.items()}
    first, *others = rows
    try:
        pairs = {f"{arm} - {first}": compare(rows[first], rows[arm], draws, seed) for arm in others}
    except ValueError as error:
        raise InputError(f"{', '.join(arms)}: {error}") from error
    tables = [group_table(groups), *([comparison_table(pairs)] if pairs else [])]
    for table in tables:
        table.print(Console(width=130))
    if json_path:
        write_document(json_path, {"groups": groups, "comparisons": pairs})
    if markdown_path:
        write_text(markdown_path, "\n".join(table.markdown for table in tables))
    if latex_path:
        write_text(latex_path, "\n".join(table.latex for table in tables))


def read_arms(arms: tuple[str, ...]) -> dict[str, list[dict]]:
    """Rows of scores by arm, from arguments ARM=FOLDER. Raises click.UsageError and InputError."""
    rows = {}
    for arm in arms:
        name, equals, folder = arm.partition("=")
        if not (name and equals and folder):
            raise click.UsageError(f"expected ARM=SCORES, such as oneshot=runs/demo/scores/oneshot, got {arm!r}")
        if name in rows:
            raise click.UsageError(f"two arms are called {name!r}")
        rows[name] = read_rows(Path(folder))
    return rows
