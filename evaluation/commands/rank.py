"""`vestibule rank`: the challenge's ranking, and where one would stand in it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.ranking import as_document
from evaluation.ranking import rank as rank_field
from evaluation.score_tables import as_field, check_same_definitions, read_scores, with_own_scores
from vestibule.errors import InputError
from vestibule.files import read_json


@click.command()
@click.argument("scores", type=click.Path(path_type=Path), metavar="SCORES.csv")
@click.option("--add", type=click.Path(path_type=Path), help="Per-case scores of your own, to stand in the field.")
@click.option("--name", default="mine", show_default=True, help="What to call them.")
@click.option(
    "--bootstraps",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="How often the cases are resampled, for the interval of places.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sampled cases.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def rank(scores: Path, add: Path | None, name: str, bootstraps: int, seed: int, as_json: bool) -> None:
    """Rank the teams in SCORES.csv as the challenge does.

    Minimum rank for each case, structure and metric; mean over these, then over the cases. SCORES.csv is the
    organisers' table (Case, VS_Dice, VS_ASSD, ..., Team); --add takes the cases.csv of `vestibule evaluate`.
    """
    teams = read_scores(scores, scores.stem)
    if add is not None:
        own = read_scores(add, name)
        # By its name what vestibule evaluate wrote; the organisers' table does not tell how it was scored.
        if scores.name == "cases.csv":
            check_same_definitions({scores.name: scores.parent, name: add.parent})
        teams, left_out = with_own_scores(teams, own, add)
        _warn_about(add, left_out)

    field = as_field(teams, scores)
    generator = np.random.default_rng(seed)
    ranking = rank_field(field, bootstraps, generator)
    document = as_document(ranking)
    if as_json:
        document["seed"] = seed
        click.echo(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))
        return

    # A file has no width; on a terminal, its own.
    width = None if Console().is_terminal else 120
    table = _as_table(document)
    Console(width=width).print(table)

    if bootstraps:
        low, middle, high = np.percentile(ranking.taus, [2.5, 50, 97.5])
        click.echo(f"Kendall's tau of {bootstraps} bootstraps: {middle:.3f} ({low:.3f} to {high:.3f})")


def _as_table(document: dict) -> Table:
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
    return table


def _warn_about(path: Path, left_out: int) -> None:
    if left_out:
        click.echo(f"note: {path} lacks {left_out} cases of the field; all are ranked over the others alone", err=True)

    metrics = path.with_name("metrics.json")
    if not metrics.is_file():
        return
    document = read_json(metrics)
    if not isinstance(document, dict):
        raise InputError(f"{metrics}: not a file of scores; run vestibule evaluate again")
    mode = document.get("mode")
    if mode != "challenge":
        click.echo(
            f"note: {path} was scored in the mode {mode}; the challenge's ASSD is that of --mode challenge",
            err=True,
        )
