"""Scores of each team: its masks unpacked and scored, or what an earlier run found of the same masks.

A team's folder holds `cases.csv`, `metrics.json`, `report.html` and `submission.json`, the record of what they were
made from. A submission is scored again only where its content, the references or the definitions have changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evaluation.images import Images
from evaluation.metrics import METRICS, Mode
from evaluation.reporting.outputs import read_rows, write_scores
from evaluation.scoring.cases import Joined, join_cases, natural_order, references_by_case
from evaluation.scoring.folder import scores_of
from evaluation.scoring.pairs import Pair
from evaluation.scoring.scores import Scores, summarise
from evaluation.teams.given_scores import read_given
from evaluation.teams.submissions import SCORES, ZIP, Submission, mask_folder
from vestibule import __version__
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import file_sha256, printable, read_json, write_json
from vestibule.unpack import unpack

RECORD = "submission.json"
SCORE_FILES = ("cases.csv", "metrics.json")
PAGE = "report.html"
FORMAT = 1
"""Of the record; another one makes every team be scored again."""
PagesBuilder = Callable[[Scores, Path, Path], list[str]]
"""Writes what is to be looked at of scores into a team's folder: called with them, the folder of masks, and where.

Returns a line for each image that could not be shown."""


@dataclass(frozen=True)
class Evaluation:
    """What all teams are scored by."""

    submissions_dir: Path
    """Where the submissions lie, and nothing may be written."""
    references_dir: Path
    out_dir: Path
    """Has a folder for each team."""
    edition: Edition
    mode: Mode
    workers: int | None = None
    """How many processes share a team's cases; None: this one alone."""
    build_pages: PagesBuilder | None = None
    """None where there is nothing to look at."""
    pages_key: str = ""
    """What `build_pages` depends on beside the scores and the masks: where it changes, pages are made again."""
    rescore: bool = False
    """Whether to forget what earlier runs found."""


@dataclass(frozen=True)
class TeamOutcome:
    """What was found of one team."""

    team: str
    digest: str = ""
    """sha256 of what it handed in; empty where that could not be read."""
    scores: Scores | None = None
    """None where nothing could be scored."""
    fault: str | None = None
    """Why it failed: nothing could be scored, or some cases have no usable mask; None where all is well."""
    from_before: bool = False
    """Whether an earlier run has scored it."""
    image_faults: tuple[str, ...] = ()
    """A line for each image that its pages could not show."""


def score_teams(
    submissions: list[Submission],
    evaluation: Evaluation,
    on_team: Callable[[TeamOutcome], None] = lambda outcome: None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> list[TeamOutcome]:
    """Score every team; one that cannot be scored costs no other.

    Args:
        submissions: What they handed in.
        evaluation: What they are scored by.
        on_team: Called with each team when it is done.
        on_case: Told how many cases of how many are done, of the team that is under way.

    Returns:
        What was found of each team, in the order of `submissions`.

    Raises:
        InputError: The references cannot be used, what is written would lie among what is read, or the disk refuses.
    """
    _check_apart(evaluation)
    references = references_by_case(evaluation.references_dir, evaluation.edition)
    basis = _basis(evaluation, references)
    outcomes = []
    for submission in submissions:
        outcome = _score_team(submission, evaluation, references, basis, on_case)
        on_team(outcome)
        outcomes.append(outcome)
    return outcomes


def with_blank_scores(outcome: TeamOutcome, evaluation: Evaluation) -> TeamOutcome:
    """A team with scores in any case: where it has none, those of empty masks, with its fault as the reason."""
    if outcome.scores is not None or outcome.fault is None:
        return outcome
    scores = _blank_scores(evaluation, outcome.fault)
    return replace(outcome, scores=scores)


def _blank_scores(evaluation: Evaluation, fault: str) -> Scores:
    references = references_by_case(evaluation.references_dir, evaluation.edition)
    pairs = []
    for case in sorted(references, key=natural_order):
        pairs.append(Pair(case, references[case], None, fault))
    return scores_of(pairs, evaluation.edition, evaluation.mode, workers=evaluation.workers)


def _check_apart(evaluation: Evaluation) -> None:
    """Refuse to write among submissions or references: the next run would take the results for masks."""
    out_dir = evaluation.out_dir.resolve()
    for path in (evaluation.submissions_dir, evaluation.references_dir):
        place = path.resolve()
        if out_dir.is_relative_to(place) or place.is_relative_to(out_dir):
            raise InputError(f"{evaluation.out_dir}: lies together with {path}, which is read; name another folder")


def _score_team(
    submission: Submission,
    evaluation: Evaluation,
    references: dict[str, Path],
    basis: str,
    on_case: Callable[[int, int], None],
) -> TeamOutcome:
    folder = evaluation.out_dir / submission.team
    failed = TeamOutcome(submission.team)
    if submission.fault:
        _forget(folder)
        return replace(failed, fault=submission.fault)
    try:
        digest = submission.digest()
    except InputError as error:
        _forget(folder)
        return replace(failed, fault=str(error))

    key = _hash(basis + digest)
    record = read_json(folder / RECORD)
    is_known = not evaluation.rescore and _is_whole(folder, record, key)
    has_pages = evaluation.build_pages is None or _has_pages(folder, record, evaluation)
    if is_known and has_pages:
        known = _known_scores(folder, evaluation)
        return TeamOutcome(submission.team, digest, known, fault_of(known), True, _image_faults(record, evaluation))

    _forget(folder)
    image_faults: list[str] = []
    try:
        with _masks_of(submission, evaluation.edition) as masks:
            scores = _found(submission, masks, evaluation, references, on_case)
            write_scores(folder, scores)
            if evaluation.build_pages is not None and masks is not None:
                image_faults = evaluation.build_pages(scores, masks, folder)
    except _TeamError as error:
        return replace(failed, digest=digest, fault=str(error))
    _write_record(folder, submission, key, digest, evaluation, image_faults)
    # From the files, so that what is ranked is what a reader can look up, today and in a later run.
    scores = _known_scores(folder, evaluation)
    return TeamOutcome(submission.team, digest, scores, fault_of(scores), image_faults=tuple(image_faults))


class _TeamError(Exception):
    """What a team did wrong; an InputError beside it is the organiser's affair, and stops all."""


def _found(
    submission: Submission,
    masks: Path | None,
    evaluation: Evaluation,
    references: dict[str, Path],
    on_case: Callable[[int, int], None],
) -> Scores:
    """The scores of a submission, by its own name in messages. Raises _TeamError where there is none to be had."""
    edition, mode = evaluation.edition, evaluation.mode
    cases = sorted(references, key=natural_order)
    if masks is None:
        try:
            return read_given(submission, cases, edition, mode)
        except InputError as error:
            raise _TeamError(str(error)) from error

    joined = _joined(submission, masks, evaluation)
    extra = [printable(Path(path.name)) for path in joined.extra]
    scores = scores_of(joined.pairs, edition, mode, extra, evaluation.workers, on_case)
    if submission.kind != ZIP:
        return scores
    # A temporary folder says nothing to a reader, and is another one in each run.
    problems = {}
    for case, problem in scores.problems.items():
        problems[case] = _named_by_zip(problem, masks, submission)
    return replace(scores, problems=problems)


def _joined(submission: Submission, masks: Path, evaluation: Evaluation) -> Joined:
    try:
        within = masks if submission.kind == ZIP else submission.path
        return join_cases(masks, evaluation.references_dir, evaluation.edition, within)
    except InputError as error:
        raise _TeamError(_named_by_zip(str(error), masks, submission)) from error


def _named_by_zip(message: str, masks: Path, submission: Submission) -> str:
    return message.replace(f"{masks}/", f"{submission.path}: ").replace(str(masks), str(submission.path))


@contextlib.contextmanager
def _masks_of(submission: Submission, edition: Edition) -> Iterator[Path | None]:
    """The flat folder of a submission's masks, unpacked where it is a zip; None for a table of scores.

    Raises _TeamError where there is none to be had.
    """
    if submission.kind == SCORES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="vestibule-team-") as scratch:
        root = submission.path
        try:
            if submission.kind == ZIP:
                root = Path(scratch)
                unpack(submission.path, root)
            masks = mask_folder(root, edition)
        except InputError as error:
            message = _named_by_zip(str(error), root, submission)
            raise _TeamError(message) from error
        yield masks


def fault_of(scores: Scores) -> str | None:
    """Why a team with scores counts as failed: the cases without a usable mask; None where every case has one."""
    if not scores.problems:
        return None
    cases = {row["case"] for row in scores.rows}
    first, problem = next(iter(scores.problems.items()))
    more = f"; and {len(scores.problems) - 1} more" if len(scores.problems) > 1 else ""
    return f"{len(scores.problems)} of {len(cases)} cases without a usable mask: {first}: {problem}{more}"


def _basis(evaluation: Evaluation, references: dict[str, Path]) -> str:
    """What the scores of all teams depend on, as text: references, labels, definitions and version."""
    hashes = {case: file_sha256(path) for case, path in references.items()}
    edition = asdict(evaluation.edition)
    basis = {
        "format": FORMAT,
        "version": __version__,
        "references": hashes,
        "structures": edition["structures"],
        "parts": edition["parts"],
        "endings": list(evaluation.edition.label_endings),
        "mode": evaluation.mode,
        "metrics": list(METRICS),
    }
    return json.dumps(basis, sort_keys=True)


def _is_whole(folder: Path, record: object, key: str) -> bool:
    """Whether a folder has the scores that `key` stands for, as they were written."""
    if not isinstance(record, dict) or record.get("key") != key:
        return False
    written = record.get("sha256", {})
    for name in SCORE_FILES:
        path = folder / name
        if not path.is_file() or file_sha256(path) != written.get(name):
            return False
    return True


def _has_pages(folder: Path, record: object, evaluation: Evaluation) -> bool:
    """Whether what is to be looked at is there, made as it is asked for; a table of scores has no pages."""
    if not isinstance(record, dict):
        return False
    if record.get("kind") == SCORES:
        return True
    return record.get("pages") == evaluation.pages_key and (folder / PAGE).is_file()


def _image_faults(record: object, evaluation: Evaluation) -> tuple[str, ...]:
    """What an earlier run found of images, where pages are asked for."""
    if evaluation.build_pages is None or not isinstance(record, dict):
        return ()
    return tuple(map(str, record.get("image_faults") or ()))


def _write_record(
    folder: Path, submission: Submission, key: str, digest: str, evaluation: Evaluation, image_faults: list[str]
) -> None:
    written = {name: file_sha256(folder / name) for name in SCORE_FILES}
    record = {
        "team": submission.team,
        "kind": submission.kind,
        "submission_sha256": digest,
        "key": key,
        "sha256": written,
        "pages": evaluation.pages_key if evaluation.build_pages else None,
        "image_faults": image_faults,
    }
    write_json(folder / RECORD, record)


def _known_scores(folder: Path, evaluation: Evaluation) -> Scores:
    """The scores that a folder holds."""
    rows = read_rows(folder)
    document = read_json(folder / "metrics.json") or {}
    return Scores(
        rows=rows,
        summary=summarise(rows),
        mode=evaluation.mode,
        edition=evaluation.edition.year,
        problems=document.get("scored_as_empty", {}),
        extra=document.get("extra", []),
        notes=document.get("notes", {}),
        labels=evaluation.edition.label_values(),
    )


def _forget(folder: Path) -> None:
    """Remove what an earlier run found of a team, so that nobody takes it for this one's; nothing that it did not."""
    if not (folder / RECORD).is_file():
        return
    for name in (RECORD, *SCORE_FILES, PAGE):
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "sheets", ignore_errors=True)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode())
    return digest.hexdigest()


def pages_key(images: Images | None, views: int) -> str:
    """What the pages of teams depend on beside scores and masks: the images, by name, size and time, and how many."""
    listing = []
    if images is not None:
        for path in sorted(images.by_case.values()):
            found = path.stat()
            listing.append([path.name, found.st_size, found.st_mtime_ns])
    return _hash(json.dumps([listing, views]))
