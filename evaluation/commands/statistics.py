"""`vestibule statistics`: scores by site and tumour size, and arms against each other."""

from __future__ import annotations

from pathlib import Path

import click

from evaluation.reporting.outputs import read_rows
from evaluation.score_tables import check_same_definitions, edition_of_scores
from evaluation.statistics import compare, comparison_table, group_summaries, group_table
from vestibule.commands.options import edition_option, json_option, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import write_text
from vestibule.terminal import table_console


@click.command()
@click.argument("arms", nargs=-1, required=True, metavar="ARM=SCORES...")
@edition_option("The challenge's year; by default the one that the case names tell, or metrics.json.")
@json_option("the numbers")
@click.option("--markdown", "markdown_path", type=click.Path(path_type=Path), help="Also write the tables as Markdown.")
@click.option("--latex", "latex_path", type=click.Path(path_type=Path), help="Also write the tables as LaTeX.")
@click.option("--draws", type=click.IntRange(min=100), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
def statistics(
    arms: tuple[str, ...],
    edition: Edition | None,
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
    folders = arm_folders(arms)
    check_same_definitions(folders)
    rows = {arm: read_rows(folder) for arm, folder in folders.items()}

    # Everything is measured against the arm that is named first.
    first, *others = rows
    pairs = {}
    for arm in others:
        try:
            pairs[f"{arm} - {first}"] = compare(rows[first], rows[arm], draws, seed)
        except ValueError as error:
            raise InputError(f"{', '.join(arms)}: {error}") from error

    groups = {}
    for arm, own in rows.items():
        own_edition = edition_of_scores(folders[arm], own, edition)
        groups[arm] = group_summaries(own, own_edition)

    tables = [group_table(groups)]
    if pairs:
        tables.append(comparison_table(pairs))

    if write_result(json_path, {"groups": groups, "comparisons": pairs}):
        for table in tables:
            table.print(table_console(130))
    if markdown_path:
        markdown = [table.markdown for table in tables]
        write_text(markdown_path, "\n".join(markdown))
    if latex_path:
        latex = [table.latex for table in tables]
        write_text(latex_path, "\n".join(latex))


def read_arms(arms: tuple[str, ...]) -> dict[str, list[dict]]:
    """Rows of scores by arm, from arguments ARM=FOLDER. Raises click.UsageError and InputError."""
    rows = {}
    folders = arm_folders(arms)
    check_same_definitions(folders)
    for arm, folder in folders.items():
        rows[arm] = read_rows(folder)
    return rows


def arm_folders(arms: tuple[str, ...]) -> dict[str, Path]:
    """Folders of scores by arm, from arguments ARM=FOLDER. Raises click.UsageError for another form or a name twice."""
    folders: dict[str, Path] = {}
    for arm in arms:
        name, _, folder = arm.partition("=")
        if not name or not folder:
            raise click.UsageError(f"expected ARM=SCORES, such as oneshot=runs/demo/scores/oneshot, got {arm!r}")
        if name in folders:
            raise click.UsageError(f"two arms are called {name!r}")
        folders[name] = Path(folder)
    return folders
