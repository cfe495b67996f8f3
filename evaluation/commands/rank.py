"""`vestibule rank`: the challenge's ranking, and where one would stand in it."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from evaluation.commands.options import bootstraps_option, failed_option
from evaluation.commands.statistics import arm_folders
from evaluation.failed_teams import FailedRule, failed_rows, raise_for, with_failed
from evaluation.ranking import as_document
from evaluation.ranking import rank as rank_field
from evaluation.score_tables import (
    Teams,
    TeamScores,
    as_field,
    check_same_definitions,
    other_definitions,
    read_scores,
    read_teams,
    whole_teams,
    with_own_scores,
)
from vestibule import logs
from vestibule.commands.options import edition_option, json_option, resolve_edition, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.terminal import table_console


@click.command()
@click.argument("scores", nargs=-1, required=True, metavar="SCORES.csv | TEAM=SCORES...")
@edition_option("The challenge's year; only to refuse tables whose case names are of another one.")
@click.option("--add", type=click.Path(path_type=Path), help="Per-case scores of your own, to stand in the field.")
@click.option("--name", default="mine", show_default=True, help="What to call them.")
@failed_option(("last", "out"))
@bootstraps_option()
@json_option("the ranking")
def rank(
    scores: tuple[str, ...],
    edition: Edition | None,
    add: Path | None,
    name: str,
    failed: FailedRule,
    bootstraps: int,
    seed: int,
    json_path: Path | None,
) -> None:
    """Rank teams as the challenge does.

    Minimum rank for each case, structure and metric; mean over these, then over the cases. SCORES.csv is the
    organisers' table of all teams (Case, VS_Dice, VS_ASSD, ..., Team); SCORES of a TEAM is a folder that `vestibule
    evaluate` wrote, or its cases.csv. --add takes such a file too. A team that lacks a score does not stop the ranking
    of the others; the exit code is then 1.
    """
    first = Path(scores[0])
    is_table = len(scores) == 1 and (first.exists() or "=" not in scores[0])
    if not is_table:
        first = Path("ranking")
    given = read_teams(first, first.stem) if is_table else _read_folders(scores)
    teams = whole_teams(given, first)
    if edition is not None:
        cases = sorted({case for _, case in teams.scores})
        resolve_edition(edition, cases, first)

    ranked = teams.scores
    if add is not None:
        own = read_scores(add, name)
        # By its name what vestibule evaluate wrote; the organisers' table does not tell how it was scored.
        if first.name == "cases.csv":
            check_same_definitions({first.name: first.parent, name: add.parent})
        ranked, left_out = with_own_scores(ranked, own, add)
        _warn_about(add, left_out)

    ranking = rank_field(as_field(ranked, first), bootstraps, np.random.default_rng(seed))
    document = with_failed(as_document(ranking), teams.faults, failed)
    if write_result(json_path, document | {"seed": seed}):
        table_console(120).print(ranking_table(document))
        if bootstraps:
            low, middle, high = np.percentile(ranking.taus, [2.5, 50, 97.5])
            click.echo(f"Kendall's tau of {bootstraps} bootstraps: {middle:.3f} ({low:.3f} to {high:.3f})")

    for team, fault in sorted(teams.faults.items()):
        logs.tell(f"team {team}: failed: {fault}", logging.WARNING)
    count = len(document["ranking"]) + len(teams.faults)
    raise_for(teams.faults, count, failed)


def _read_folders(arguments: tuple[str, ...]) -> Teams:
    """Scores of teams from arguments TEAM=SCORES; a file that cannot be used costs its team alone."""
    scores: TeamScores = {}
    faults: dict[str, str] = {}
    folders = {}
    for team, place in arm_folders(arguments).items():
        path = place if place.suffix == ".csv" else place / "cases.csv"
        folders[team] = path.parent
        try:
            scores |= read_scores(path, team)
        except InputError as error:
            faults[team] = str(error)
    faults |= other_definitions(folders)
    return Teams(scores, faults)


def ranking_table(document: dict) -> Table:
    """A table of a ranking as `with_failed` gives it, the teams that failed at its end."""
    teams = document["ranking"]
    table = Table(title=f"{document['cases']} cases, {len(teams)} teams")
    table.add_column("place", justify="right")
    table.add_column("team")
    table.add_column("cumulative rank", justify="right")
    for part in teams[0]["cumulative_rank_of"]:
        table.add_column(part, justify="right")
    if document["bootstraps"]:
        table.add_column("95 % of bootstraps", justify="right")

    for team in teams:
        place = str(team["place"])
        cells = [place, team["team"], f"{team['cumulative_rank']:.2f}"]
        ranks = team["cumulative_rank_of"]
        for value in ranks.values():
            cells.append(f"{value:.2f}")

        if document["bootstraps"]:
            low, high = team["bootstrap"]["place_95"]
            places = str(low) if low == high else f"{low} to {high}"
            cells.append(places)

        table.add_row(*cells)
    for cells in failed_rows(document, len(table.columns)):
        table.add_row(*cells)
    return table


def _warn_about(path: Path, left_out: int) -> None:
    if left_out:
        logs.tell(f"note: {path} lacks {left_out} cases of the field; all are ranked over the others alone")

    metrics = path.with_name("metrics.json")
    if not metrics.is_file():
        return
    document = read_json(metrics)
    if not isinstance(document, dict):
        raise InputError(f"{metrics}: not a file of scores; run vestibule evaluate again")
    mode = document.get("mode")
    if mode != "challenge":
        logs.tell(f"note: {path} was scored in the mode {mode}; the challenge's ASSD is that of --mode challenge")
