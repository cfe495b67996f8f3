"""`vestibule evaluate-teams`: what all teams handed in, to scores, one ranking and one report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import numpy as np

from evaluation.commands.options import bootstraps_option, failed_option, intrameatal_option, mode_option, views_option
from evaluation.commands.rank import ranking_table
from evaluation.failed_teams import EMPTY, FailedRule, failed_teams
from evaluation.images import find_images, told_faults
from evaluation.metrics import Mode
from evaluation.reporting.report.build import Pictures, build_report, missing_packages
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.processes import chosen_workers, kept_processes
from evaluation.scoring.scores import Scores
from evaluation.teams.results import TeamsResult, rank_teams, write_results
from evaluation.teams.scoring import Evaluation, TeamOutcome, pages_key, score_teams, with_blank_scores
from evaluation.teams.submissions import find_submissions
from vestibule import logs
from vestibule.commands.options import claim, edition_option, images_option, json_option, workers_option, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import printable
from vestibule.progress import progress_bar
from vestibule.terminal import table_console

TEAMS = "teams"
"""Folder of OUT with a folder for each team."""
VIEWS = 10
"""Cases of a team that can be opened in its page by default; a dozen teams with a hundred each would fill a disk."""


@click.command("evaluate-teams")
@click.argument("submissions", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@edition_option()
@mode_option(default="challenge")
@intrameatal_option()
@failed_option(("last", "out", "empty"))
@images_option("Folder of the T2 images, to show them in the teams' pages.")
@click.option("--report/--no-report", "wants_report", default=None, help="Write report.html.  [default: if it can be]")
@views_option(VIEWS)
@bootstraps_option()
@click.option("--rescore", is_flag=True, help="Score all teams again, also those that have not changed.")
@json_option("the ranking")
@workers_option()
def evaluate_teams(
    submissions: Path,
    references: Path,
    out: Path,
    edition: Edition | None,
    mode: Mode,
    intrameatal: str,
    failed: FailedRule,
    images: Path | None,
    wants_report: bool | None,
    views: int,
    bootstraps: int,
    seed: int,
    rescore: bool,
    json_path: Path | None,
    workers: int | None,
) -> None:
    r"""Score and rank the teams whose masks lie in SUBMISSIONS: one entry a team. All results go into OUT.

    An entry is TEAM.zip, a folder TEAM/ of masks, or scores: TEAM.csv, or a folder that vestibule evaluate wrote. What
    was scored before and has not changed is not scored again. A team that cannot be scored, or that lacks a usable mask
    of a case, is named with the reason and costs no other team anything; the exit code is then 1.

    \b
    OUT/report.html                    ranking, statistics, each team
    OUT/ranking.json, ranking.csv      places, cumulative ranks, means
    OUT/scores.csv, statistics.json    all scores; groups, comparisons
    OUT/teams/TEAM/                    what vestibule evaluate writes
    """
    rules = edition_of_masks(references, edition).with_intrameatal(int(intrameatal))
    has_report = wants_report is not False and _can_report(bool(wants_report or images))
    known = find_images(images, rules) if images is not None else None
    claim(out)

    found, others = find_submissions(submissions)
    for name in others:
        logs.tell(f"note: {printable(submissions / name)}: no zip, folder or table of scores; passed over")

    workers = chosen_workers(workers, len(list(references.iterdir())))
    wanted = Pictures(known, page=True, views=views)

    def build(scores: Scores, masks: Path, folder: Path) -> list[str]:
        built = build_report(scores, masks, references, folder, rules, wanted, workers)
        return built.image_faults

    evaluation = Evaluation(
        submissions_dir=submissions,
        references_dir=references,
        out_dir=out / TEAMS,
        edition=rules,
        mode=mode,
        workers=workers,
        build_pages=build if has_report else None,
        pages_key=pages_key(known, views),
        rescore=rescore,
    )
    with progress_bar("scoring") as advance, kept_processes():
        outcomes = score_teams(found, evaluation, _tell, advance)
    if failed == EMPTY:
        outcomes = [with_blank_scores(outcome, evaluation) for outcome in outcomes]

    result = rank_teams(outcomes, rules, mode, failed, out, bootstraps, seed)
    files = write_results(result, out)
    if has_report:
        from evaluation.reporting.report.teams_page import write_teams_report

        files.insert(0, write_teams_report(out, result, TEAMS))

    if write_result(json_path, result.document):
        _print(files, result)
    image_faults = list(known.refused) if known else []
    for outcome in outcomes:
        image_faults += outcome.image_faults
    faults = [failed_teams(result.faults, len(outcomes), failed), told_faults(image_faults)]
    told = "; ".join(fault for fault in faults if fault)
    if told:
        raise InputError(told)


def _can_report(is_asked_for: bool) -> bool:
    """Whether what a report needs is installed. Raises InputError where it is not, and somebody asked for one."""
    missing = ", ".join(missing_packages())
    if missing and is_asked_for:
        raise InputError(f"a report needs {missing}: pip install 'vestibule[evaluation]'")
    if missing:
        logs.tell(f"note: no report.html, {missing} not installed")
    return not missing


def _tell(outcome: TeamOutcome) -> None:
    """Say on stderr what became of a team."""
    if outcome.fault:
        what = f"failed: {outcome.fault}"
    elif outcome.from_before:
        what = "scored before, not changed"
    else:
        what = "scored"
    logs.tell(f"team {outcome.team}: {what}")
    for note, count in _notes(outcome.scores).items():
        logs.tell(f"note: team {outcome.team}: {count} cases: {note}")


def _notes(scores: Scores | None) -> Counter[str]:
    """How many cases of a team each note is of."""
    counts: Counter[str] = Counter()
    if scores is not None:
        for notes in scores.notes.values():
            counts.update(notes)
    return counts


def _print(files: list[Path], result: TeamsResult) -> None:
    for path in files:
        click.echo(path)
    for teams in result.copies:
        logs.tell(f"note: {' and '.join(teams)} handed in the same files")
    table_console(120).print(ranking_table(result.document))
    taus = result.ranking.taus
    if len(taus):
        low, middle, high = np.percentile(taus, [2.5, 50, 97.5])
        click.echo(f"Kendall's tau of {len(taus)} bootstraps: {middle:.3f} ({low:.3f} to {high:.3f})")
