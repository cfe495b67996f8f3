"""The organiser's container: masks and references in, scores out, in the platform's layout or from plain folders.

    python -m evaluation.platform.container [--input /input] [--references /opt/ml/input/data/ground_truth]
                                            [--output /output] [--edition 2022]

/input holds the platform's predictions.json with one folder a job; or masks, one a case; or one folder of masks a team,
which also gives a ranking. Writes metrics.json and cases.csv, for teams one folder each and ranking.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from evaluation.commands.evaluate import report
from evaluation.metrics import MODES, Mode
from evaluation.platform.jobs import INPUT, LISTING, OUTPUT, REFERENCES, join_jobs, read_jobs
from evaluation.ranking import as_document, rank
from evaluation.reporting.outputs import write_scores
from evaluation.score_tables import TeamScores, as_field, read_scores
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.folder import score_folder, scores_of
from evaluation.scoring.processes import default_workers
from evaluation.scoring.scores import Scores
from vestibule.cli import main
from vestibule.commands.options import EditionType
from vestibule.editions import Edition, image_stem
from vestibule.errors import InputError
from vestibule.files import write_text


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--input", "input_dir", type=click.Path(path_type=Path), default=INPUT, envvar="VESTIBULE_INPUT")
@click.option("--references", type=click.Path(path_type=Path), default=REFERENCES, envvar="VESTIBULE_REFERENCES")
@click.option("--output", "output_dir", type=click.Path(path_type=Path), default=OUTPUT, envvar="VESTIBULE_OUTPUT")
@click.option(
    "--edition",
    type=EditionType(),
    envvar="VESTIBULE_EDITION",
    help="The challenge's year; by default the one that the references' names tell.",
)
@click.option("--mode", type=click.Choice(MODES), default="challenge", show_default=True, envvar="VESTIBULE_MODE")
@click.option("--slug", envvar="VESTIBULE_SLUG", help="Which image output of a job to score, where it has several.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    envvar="VESTIBULE_WORKERS",
    help="Processes to use; 1: this one.  [default: the cores]",
)
def evaluate_input(
    input_dir: Path,
    references: Path,
    output_dir: Path,
    edition: Edition | None,
    mode: Mode,
    slug: str | None,
    workers: int | None,
) -> None:
    """Score what lies in /input against the references.

    A missing or unusable mask counts as an empty one and is named; the scores are written, and the exit code is 0,
    because a submission is scored with what it lacks.
    """
    if not input_dir.is_dir():
        raise InputError(f"{input_dir}: no such folder")
    chosen = edition_of_masks(references, edition)
    if workers is None:
        at_most = len(list(references.iterdir()))
        workers = default_workers(at_most)
    elif workers == 1:
        # One that is asked for is this process, which works where processes may share nothing.
        workers = None

    listing = input_dir / LISTING
    if listing.is_file():
        scores = score_jobs(listing, references, output_dir, chosen, mode, slug, workers)
        _tell(scores)
        return

    # Masks beside folders are a submission; folders alone are teams.
    entries = sorted(entry for entry in input_dir.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    has_masks = any(image_stem(entry) for entry in entries)
    if has_masks or not folders:
        scores = score_folder(input_dir, references, output_dir, chosen, mode, workers)
        _tell(scores)
        return

    teams = [folder.name for folder in folders]
    for team in teams:
        click.echo(f"team {team}")
        scores = score_folder(input_dir / team, references, output_dir / team, chosen, mode, workers)
        _tell(scores)

    document = write_ranking(output_dir, teams)
    for place in document["ranking"]:
        rank_text = f"{place['cumulative_rank']:.2f}"
        click.echo(f"{place['place']}. {place['team']}  cumulative rank {rank_text}")


def score_jobs(
    listing: Path,
    references_dir: Path,
    out_dir: Path,
    edition: Edition,
    mode: Mode = "challenge",
    slug: str | None = None,
    workers: int | None = None,
) -> Scores:
    """Score the jobs of a submission on the platform, and write `metrics.json` and `cases.csv`.

    Args:
        listing: The platform's `predictions.json`, in the folder that holds the jobs.
        references_dir: Flat folder of reference masks.
        out_dir: Where the scores go.
        edition: What files are called and what labels mean.
        mode: Which definitions of the distances hold.
        slug: Which image output of a job to score, where jobs have several.
        workers: How many processes share the cases; without, all happens in this process.

    Returns:
        The scores. What a job gets wrong costs its case, and is named in `Scores.problems`.

    Raises:
        InputError: The list of jobs is of another form, the references are none or ambiguous, or none of the jobs is
            of any of their cases.
    """
    submission = read_jobs(listing, slug)
    pairs, extra = join_jobs(submission, references_dir, edition)
    scores = scores_of(pairs, edition, mode, extra, workers)
    write_scores(out_dir, scores)
    return scores


def write_ranking(output_dir: Path, teams: list[str]) -> dict:
    """Rank the teams by the cases.csv in their folders, write ranking.json and return what it holds.

    Raises InputError where a team lacks a case.
    """
    scores: TeamScores = {}
    # From the files, so that what is ranked is what a reader can look up.
    for team in teams:
        path = output_dir / team / "cases.csv"
        scores |= read_scores(path, team)
    field = as_field(scores, output_dir)

    document = as_document(rank(field))
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    write_text(output_dir / "ranking.json", text + "\n")
    return document


def _tell(scores: Scores) -> None:
    try:
        report(scores)
    except InputError as error:
        click.echo(f"note: {error}", err=True)


if __name__ == "__main__":
    main(evaluate_input)
