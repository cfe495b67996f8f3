"""`vestibule rank`: the challenge's ranking, and where one would stand in it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.ranking import Ranking, as_document
from evaluation.ranking import rank as rank_field
from evaluation.score_tables import as_field, read_scores, with_own_scores
from vestibule.errors import InputError


@click.command()
@click.argument("scores", type=click.Path(path_type=Path), metavar="SCORES.csv")
@click.option("--add", type=click.Path(path_type=Path), help="Per-case scores of your own, to stand in the field.")
@click.option("--name", default="mine", show_default=True, help="What to call them.")
@click.option("--bootstraps", type=click.IntRange(min=0), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the drawn cases.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def rank(scores: Path, add: Path | None, name: str, bootstraps: int, seed: int, as_json: bool) -> None:
    """Rank the teams in SCORES.csv as the challenge does.

    Minimum rank for each case, structure and metric; mean over these, then over the cases. SCORES.csv is the
    organisers' table (Case, VS_Dice, VS_ASSD, ..., Team); --add takes the cases.csv of `vestibule evaluate`.
    """
    teams = read_scores(scores, scores.stem)
    if add is not None:
        teams, left_out = with_own_scores(teams, read_scores(add, name), add)
        _warn_about(add, left_out)
    ranking = rank_field(as_field(teams, scores), bootstraps, np.random.default_rng(seed))
    if as_json:
        click.echo(json.dumps(as_document(ranking) | {"seed": seed}, indent=2, allow_nan=False, ensure_ascii=False))
        return
    width = None if Console().is_terminal else 120
    Console(width=width).print(_as_table(ranking))
    if bootstraps:
        low, middle, high = np.percentile(ranking.taus, [2.5, 50, 97.5])
        click.echo(f"Kendall's tau of {bootstraps} bootstraps: {middle:.3f} ({low:.3f} to {high:.3f})")


def _as_table(ranking: Ranking) -> Table:
    document = as_document(ranking)
    parts = list(document["ranking"][0]["cumulative_rank_of"])
    table = Table(title=f"{document['cases']} cases, {len(document['ranking'])} teams")
    for name in ("place", "team", "cumulative rank", *parts):
        table.add_column(name, justify="left" if name == "team" else "right")
    if document["bootstraps"]:
        table.add_column("95 % of bootstraps", justify="right")
    for team in document["ranking"]:
        cells = [str(team["place"]), team["team"], f"{team['cumulative_rank']:.2f}"]
        cells += [f"{value:.2f}" for value in team["cumulative_rank_of"].values()]
        if document["bootstraps"]:
            low, high = team["bootstrap"]["place_95"]
            cells.append(str(low) if low == high else f"{low} to {high}")
        table.add_row(*cells)
    return table


def _warn_about(path: Path, left_out: int) -> None:
    if left_out:
        click.echo(f"note: {path} lacks {left_out} cases of the field; all are ranked over the others alone", err=True)
    metrics = path.with_name("metrics.json")
    if metrics.is_file():
        try:
            mode = json.loads(metrics.read_text(encoding="utf-8")).get("mode")
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(f"{metrics}: not a file of scores ({error})") from error
        if mode != "challenge":
            click.echo(
                f"note: {path} was scored in the mode {mode}; the challenge's ASSD is that of --mode challenge",
                err=True,
            )
