"""The organiser's container: masks and references in, scores out, in the platform's layout or from plain folders.

    python -m evaluation.platform.container [--input /input] [--references /opt/ml/input/data/ground_truth]
                                            [--output /output]

/input holds the platform's predictions.json with one folder a job; or masks, one a case; or one folder of masks a team,
which also gives a ranking. Writes metrics.json and cases.csv, for teams one folder each and ranking.json.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from evaluation.commands.evaluate import report
from evaluation.commands.rank import as_document
from evaluation.metrics import MODES
from evaluation.ranking import rank
from evaluation.score_tables import as_field, read_scores
from evaluation.scoring.folder import score_folder
from evaluation.scoring.processes import default_workers
from evaluation.scoring.scores import Scores
from vestibule.cli import main
from vestibule.editions import EDITIONS, Edition, get_edition, image_stem, target_case
from vestibule.errors import InputError

LISTING = "predictions.json"
"""The platform's list of jobs: each with its `pk`, its inputs and its outputs."""
REFERENCES = Path("/opt/ml/input/data/ground_truth")
"""Where the platform unpacks the references."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--input", "input_dir", type=click.Path(path_type=Path), default="/input", envvar="VESTIBULE_INPUT")
@click.option("--references", type=click.Path(path_type=Path), default=REFERENCES, envvar="VESTIBULE_REFERENCES")
@click.option("--output", "output_dir", type=click.Path(path_type=Path), default="/output", envvar="VESTIBULE_OUTPUT")
@click.option(
    "--edition", type=click.Choice([str(year) for year in EDITIONS]), default="2022", envvar="VESTIBULE_EDITION"
)
@click.option("--mode", type=click.Choice(MODES), default="challenge", show_default=True, envvar="VESTIBULE_MODE")
def evaluate_input(input_dir: Path, references: Path, output_dir: Path, edition: str, mode: str) -> None:
    """Score what lies in /input against the references.

    A missing or unusable mask counts as an empty one and is named; the scores are written, and the exit code is 0,
    because a submission is scored with what it lacks.
    """
    chosen = get_edition(int(edition))
    if not input_dir.is_dir():
        raise InputError(f"{input_dir}: no such folder")
    if (input_dir / LISTING).is_file():
        with tempfile.TemporaryDirectory() as folder:
            gather_jobs(input_dir, Path(folder), chosen)
            _score(Path(folder), references, output_dir, chosen, mode)
        return
    teams = sorted(entry for entry in input_dir.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not teams or any(image_stem(entry) for entry in input_dir.iterdir()):
        _score(input_dir, references, output_dir, chosen, mode)
        return
    for team in teams:
        click.echo(f"team {team.name}")
        _score(team, references, output_dir / team.name, chosen, mode)
    write_ranking(output_dir, [team.name for team in teams])


def gather_jobs(input_dir: Path, folder: Path, edition: Edition) -> None:
    """Link the mask of every job into `folder` under its case's name, which its input image tells.

    A job without a mask is left out, and so scored as empty. Raises InputError where the list of jobs is none, a job
    has two masks, or two jobs are of one case.
    """
    listing = input_dir / LISTING
    try:
        jobs = json.loads(listing.read_text(encoding="utf-8"))
        named = [(str(job["pk"]), _image_names(job["inputs"]), _places(job["outputs"])) for job in jobs]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of jobs with pk, inputs and outputs ({cause})") from error
    for pk, images, places in named:
        if len(images) != 1:
            raise InputError(f"{listing}: job {pk} has {len(images)} input images ({', '.join(images)}), expected one")
        output = input_dir / pk / "output"
        if not output.resolve().is_relative_to(input_dir.resolve()):
            raise InputError(f"{listing}: job {pk!r} lies outside {input_dir}")
        masks = [path for place in places for path in sorted((output / place).glob("*")) if image_stem(path)]
        if len(masks) > 1:
            raise InputError(f"{output}: expected one mask, found {', '.join(path.name for path in masks)}")
        case = target_case(Path(images[0])) or image_stem(Path(images[0])) or images[0]
        if masks:
            suffix = masks[0].name.removeprefix(image_stem(masks[0]))
            name = edition.prediction_name(case).removesuffix(".nii.gz")
            try:
                (folder / f"{name}{suffix}").symlink_to(masks[0].resolve())
            except FileExistsError:
                raise InputError(f"{listing}: two jobs are of case {case}; expected one job a case") from None


def write_ranking(output_dir: Path, teams: list[str]) -> None:
    """Rank the teams by the cases.csv in their folders into ranking.json. Raises InputError where one lacks a case."""
    scores = {}
    for team in teams:
        scores |= read_scores(output_dir / team / "cases.csv", team)
    document = as_document(rank(as_field(scores, output_dir)))
    path = output_dir / "ranking.json"
    path.write_text(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    for team in document["ranking"]:
        click.echo(f"{team['place']}. {team['team']}  cumulative rank {team['cumulative_rank']:.2f}")


def _score(masks: Path, references: Path, output_dir: Path, edition: Edition, mode: str) -> Scores:
    at_most = sum(1 for _ in references.iterdir()) if references.is_dir() else 1
    scores = score_folder(masks, references, output_dir, edition, mode, default_workers(at_most))
    try:
        report(scores)
    except InputError as error:
        click.echo(f"note: {error}", err=True)
    return scores


def _sockets(values: list) -> list[tuple[dict, dict]]:
    return [(value, value.get("socket") or value["interface"]) for value in values]


def _image_names(values: list) -> list[str]:
    return [
        value["image"]["name"] for value, socket in _sockets(values) if socket.get("super_kind", "Image") == "Image"
    ]


def _places(values: list) -> list[Path]:
    places = [
        Path(socket.get("relative_path") or Path("images") / socket["slug"])
        for _, socket in _sockets(values)
        if socket.get("super_kind", "Image") == "Image"
    ]
    for place in places:
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{place} lies outside the job's output")
    return places


if __name__ == "__main__":
    main(evaluate_input)
