"""The organiser's container: masks and references in, scores out, in the platform's layout or from plain folders.

    python -m evaluation.platform.container [--input /input] [--references /opt/ml/input/data/ground_truth]
                                            [--output /output] [--edition 2022]

/input holds the platform's predictions.json with one folder a job; or masks, one a case; or a folder or a zip of masks
a team, which also gives a ranking. Writes metrics.json and cases.csv, for teams one folder each and ranking.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from evaluation.commands.evaluate import print_summary, report
from evaluation.commands.options import mode_option
from evaluation.failed_teams import EMPTY, raise_for
from evaluation.metrics import Mode
from evaluation.platform.jobs import INPUT, LISTING, OUTPUT, REFERENCES, join_jobs, read_jobs
from evaluation.reporting.outputs import write_scores
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.folder import score_folder, scores_of
from evaluation.scoring.processes import chosen_workers, kept_processes
from evaluation.scoring.scores import Scores
from evaluation.teams.results import rank_teams
from evaluation.teams.scoring import Evaluation, TeamOutcome, score_teams, with_blank_scores
from evaluation.teams.submissions import find_submissions
from vestibule.cli import main
from vestibule.commands.options import edition_option, workers_option
from vestibule.editions import Edition, image_stem
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.serve import api_option, serve, serves


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--input", "input_dir", type=click.Path(path_type=Path), default=INPUT, envvar="VESTIBULE_INPUT")
@click.option("--references", type=click.Path(path_type=Path), default=REFERENCES, envvar="VESTIBULE_REFERENCES")
@click.option("--output", "output_dir", type=click.Path(path_type=Path), default=OUTPUT, envvar="VESTIBULE_OUTPUT")
@edition_option(envvar="VESTIBULE_EDITION")
@mode_option(default="challenge", envvar="VESTIBULE_MODE")
@click.option("--slug", envvar="VESTIBULE_SLUG", help="Which image output of a job to score, where it has several.")
@workers_option(envvar="VESTIBULE_WORKERS")
@api_option("exec", "Score and exit; or serve the platform's /invoke on port 4743.")
def evaluate_input(
    input_dir: Path,
    references: Path,
    output_dir: Path,
    edition: Edition | None,
    mode: Mode,
    slug: str | None,
    workers: int | None,
    api: str,
) -> None:
    """Score what lies in /input against the references.

    A missing or unusable mask counts as an empty one and is named; the scores are written, and the exit code is 0,
    because a submission is scored with what it lacks. It is 1 where a team of several has no usable mask at all.
    """
    task = Task(input_dir, references, output_dir, edition, mode, slug, workers)
    if serves_evaluation(api, input_dir):
        serve(task.run, lambda failure: click.echo(f"vestibule: error: {failure}", err=True))
    else:
        task.run()


def serves_evaluation(api: str, input_dir: Path) -> bool:
    """Whether the container is to answer requests: asked to, or with the platform's jobs or nothing in its input.

    Args:
        api: How it was started, one of `vestibule.serve.API_STYLES`.
        input_dir: Where the input lies, or will lie.
    """
    if api == "auto" and (input_dir / LISTING).is_file():
        return True
    return serves(api, input_dir)


@dataclass(frozen=True)
class Task:
    """What the container was started for; a server does it once a request."""

    input_dir: Path
    references: Path
    output_dir: Path
    edition: Edition | None
    """None: as the references' names tell."""
    mode: Mode
    slug: str | None
    workers: int | None

    def run(self) -> None:
        """Score what lies in the input: the platform's jobs, a submission, or those of teams. Raises InputError."""
        if not self.input_dir.is_dir():
            raise InputError(f"{self.input_dir}: no such folder")
        chosen = edition_of_masks(self.references, self.edition)
        workers = chosen_workers(self.workers, len(list(self.references.iterdir())))

        listing = self.input_dir / LISTING
        if listing.is_file():
            scores = score_jobs(listing, self.references, self.output_dir, chosen, self.mode, self.slug, workers)
            _tell(scores)
            return

        # Masks beside folders are a submission; folders or zips alone are teams.
        entries = [entry for entry in self.input_dir.iterdir() if not entry.name.startswith(".")]
        has_masks = any(image_stem(entry) for entry in entries)
        has_teams = any(entry.is_dir() or entry.suffix.lower() == ".zip" for entry in entries)
        if has_masks or not has_teams:
            scores = score_folder(self.input_dir, self.references, self.output_dir, chosen, self.mode, workers)
            _tell(scores)
            return

        document, without = score_all_teams(
            self.input_dir, self.references, self.output_dir, chosen, self.mode, workers
        )
        for place in document["ranking"]:
            rank_text = f"{place['cumulative_rank']:.2f}"
            click.echo(f"{place['place']}. {place['team']}  cumulative rank {rank_text}")
        raise_for(without, len(document["ranking"]), EMPTY)


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


def score_all_teams(
    input_dir: Path,
    references_dir: Path,
    output_dir: Path,
    edition: Edition,
    mode: Mode = "challenge",
    workers: int | None = None,
) -> tuple[dict, dict[str, str]]:
    """Score the submission of each team, rank them all and write `ranking.json`.

    Args:
        input_dir: A zip or a folder of masks a team.
        references_dir: Flat folder of reference masks.
        output_dir: Gets a folder a team and the ranking.
        edition: What files are called and what labels mean.
        mode: Which definitions of the distances hold.
        workers: How many processes share the cases; without, all happens in this process.

    Returns:
        The ranking as the file holds it, and why each team without any usable mask has none; such a team is ranked
        as if all its masks were empty.

    Raises:
        InputError: The references cannot be used, or the disk refuses.
    """
    submissions, _ = find_submissions(input_dir)
    evaluation = Evaluation(input_dir, references_dir, output_dir, edition, mode, workers)
    with kept_processes():
        outcomes = score_teams(submissions, evaluation, _tell_of_team)
    without = {}
    for outcome in outcomes:
        if outcome.scores is None and outcome.fault:
            without[outcome.team] = outcome.fault
    scored = [with_blank_scores(outcome, evaluation) for outcome in outcomes]
    result = rank_teams(scored, edition, mode, EMPTY, output_dir)
    write_json(output_dir / "ranking.json", result.document)
    return result.document, without


def _tell_of_team(outcome: TeamOutcome) -> None:
    click.echo(f"team {outcome.team}")
    if outcome.scores is None:
        click.echo(f"failed: {outcome.team}: {outcome.fault}", err=True)
    else:
        _tell(outcome.scores)


def _tell(scores: Scores) -> None:
    print_summary(scores)
    try:
        report(scores)
    except InputError as error:
        click.echo(f"note: {error}", err=True)


if __name__ == "__main__":
    main(evaluate_input)
