"""The ranking of all teams from their scores, and the files that hold it: tables, JSON and statistics."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from evaluation.failed_teams import EMPTY, FailedRule, with_failed
from evaluation.metrics import METRICS, Mode, headlines
from evaluation.ranking import Ranking, as_document, rank
from evaluation.score_tables import Teams, TeamScores, as_field, whole_teams
from evaluation.scoring.scores import DEFINITIONS, NAME_COLUMNS, Row, Scores
from evaluation.statistics import compare, group_summaries
from evaluation.teams.scoring import TeamOutcome
from vestibule.csv_cells import escaped
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import write_json, write_text


@dataclass(frozen=True)
class TeamsResult:
    """What was found of all teams."""

    document: dict
    """The ranking for JSON, the teams that failed among it."""
    ranking: Ranking
    ranked: dict[str, Scores]
    """Scores of the teams that are ranked, the best first."""
    faults: dict[str, str]
    """Why other teams failed; under the rule `empty`, of teams that are ranked too."""
    statistics: dict
    """`groups` of each team and `comparisons` of each with the first, as `vestibule statistics --json` has them."""
    copies: list[list[str]]
    """Teams that handed in the same, byte by byte."""


def rank_teams(
    outcomes: list[TeamOutcome],
    edition: Edition,
    mode: Mode,
    rule: FailedRule,
    out_dir: Path,
    bootstraps: int = 1000,
    seed: int = 0,
) -> TeamsResult:
    """Rank the teams, and compare each with the first one.

    Args:
        outcomes: What was found of each team; under the rule `empty`, each has scores.
        edition: Whose structures they are of.
        mode: By what definitions.
        rule: What becomes of the teams that failed.
        out_dir: Named where no team is left.
        bootstraps: How often the cases are sampled again.
        seed: Of the samples.

    Returns:
        The ranking and all that stands beside it.

    Raises:
        InputError: No team can be ranked.
    """
    faults: dict[str, str] = {}
    scores: dict[str, Scores] = {}
    for outcome in outcomes:
        if outcome.fault:
            faults[outcome.team] = outcome.fault
        is_ranked = rule == EMPTY or not outcome.fault
        if is_ranked and outcome.scores is not None:
            scores[outcome.team] = outcome.scores
    if not scores:
        reasons = "; ".join(f"{team}: {fault}" for team, fault in faults.items())
        raise InputError(f"{out_dir}: no team can be ranked ({reasons})")

    given = Teams(_team_scores(scores))
    whole = whole_teams(given, out_dir)
    faults |= whole.faults
    field = as_field(whole.scores, out_dir)
    generator = np.random.default_rng(seed)
    ranking = rank(field, bootstraps, generator)

    document = with_failed(as_document(ranking), faults, rule)
    head = {
        "edition": edition.year,
        "mode": mode,
        "definition": DEFINITIONS[mode],
        "seed": seed,
        "failed_rule": rule,
    }
    ranked = {}
    for team in document["ranking"]:
        name = team["team"]
        ranked[name] = scores[name]
    return TeamsResult(
        document=head | document,
        ranking=ranking,
        ranked=ranked,
        faults=faults,
        statistics=_statistics(ranked, edition, seed),
        copies=_copies(outcomes),
    )


def write_results(result: TeamsResult, out_dir: Path) -> list[Path]:
    """Write `ranking.json`, `ranking.csv`, `scores.csv` and `statistics.json`, and return their paths.

    Raises InputError where the disk refuses.
    """
    ranking_json = out_dir / "ranking.json"
    ranking_csv = out_dir / "ranking.csv"
    scores_csv = out_dir / "scores.csv"
    statistics_json = out_dir / "statistics.json"

    write_json(ranking_json, result.document)
    ranking_text = _ranking_csv(result.document)
    write_text(ranking_csv, ranking_text)
    scores_text = _scores_csv(result.ranked)
    write_text(scores_csv, scores_text)
    write_json(statistics_json, result.statistics)
    return [ranking_json, ranking_csv, scores_csv, statistics_json]


def _team_scores(scores: dict[str, Scores]) -> TeamScores:
    """What is ranked of each team and case."""
    ranked = [metric for metric in headlines() if metric.higher_is_better is not None]
    found: TeamScores = {}
    for team, own in scores.items():
        for row in own.rows:
            case = str(row["case"])
            structure = str(row["structure"])
            known = found.setdefault((team, case), {})
            for metric in ranked:
                value = row[metric.key]
                known[structure, metric.key] = float(value)
    return found


def _statistics(ranked: dict[str, Scores], edition: Edition, seed: int) -> dict:
    """Groups of each team's cases, and each further team against the first."""
    (first, best), *others = ranked.items()
    groups = {first: group_summaries(best.rows, edition)}
    comparisons = {}
    for team, scores in others:
        groups[team] = group_summaries(scores.rows, edition)
        pair = f"{team} - {first}"
        comparisons[pair] = compare(best.rows, scores.rows, seed=seed)
    return {"groups": groups, "comparisons": comparisons}


def _copies(outcomes: Iterable[TeamOutcome]) -> list[list[str]]:
    by_digest: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.digest:
            teams = by_digest.setdefault(outcome.digest, [])
            teams.append(outcome.team)
    return [teams for teams in by_digest.values() if len(teams) > 1]


def _ranking_csv(document: dict) -> str:
    """A row a team: place, cumulative ranks and mean scores, or why it failed."""
    rows: dict[str, dict] = {}
    for team in document["ranking"]:
        name = team["team"]
        row = {
            "place": team["place"],
            "team": escaped(name),
            "cumulative_rank": team["cumulative_rank"],
        }
        for part, value in team["cumulative_rank_of"].items():
            row[f"cumulative_rank_{part}"] = value
        for measure, value in team["mean"].items():
            row[f"mean_{measure}"] = value
        if "bootstrap" in team:
            low, high = team["bootstrap"]["place_95"]
            row["place_low"] = low
            row["place_high"] = high
        rows[name] = row

    first = next(iter(rows.values()))
    columns = [*first, "failed"]
    for team in document["failed"]:
        name = team["team"]
        # Under the rule `empty` a team that failed is ranked, too.
        row = rows.setdefault(name, {"place": team["place"], "team": escaped(name)})
        row["failed"] = escaped(team["reason"])
    return _as_csv(columns, rows.values())


def _scores_csv(ranked: dict[str, Scores]) -> str:
    """A row a team, case and structure, as `vestibule rank` reads it."""
    rows: list[Row] = []
    present: set[str] = set()
    for team, scores in ranked.items():
        for row in scores.rows:
            shown: Row = {"team": escaped(team), **row}
            for name in NAME_COLUMNS:
                text = str(row[name])
                shown[name] = escaped(text)
            rows.append(shown)
            present.update(row)
    metrics = [key for key in METRICS if key in present]
    return _as_csv(["team", *NAME_COLUMNS, *metrics], rows)


def _as_csv(columns: list[str], rows: Iterable[dict]) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
