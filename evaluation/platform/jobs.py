"""The platform's list of jobs: which mask belongs to which case, and what a submission got wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evaluation.scoring.cases import natural_order, references_by_case
from evaluation.scoring.links import ReferenceFiles
from evaluation.scoring.pairs import Pair
from vestibule.editions import Edition, image_stem, target_case
from vestibule.errors import InputError
from vestibule.files import parse_json
from vestibule.text import shown

INPUT = Path("/input")
"""Where the platform puts a submission."""
REFERENCES = Path("/opt/ml/input/data/ground_truth")
"""Where the platform unpacks the references."""
OUTPUT = Path("/output")
"""Where the platform looks for scores."""
LISTING = "predictions.json"
"""The list of jobs: each with its `pk`, its inputs and its outputs."""
NO_JOB = "no prediction"
"""What is said of a case that no job is of."""


@dataclass(frozen=True)
class Submission:
    """The masks of a submission by case."""

    masks: dict[str, Path] = field(default_factory=dict)
    """The mask of each case that has exactly one."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why another case has no usable mask."""


def read_jobs(listing: Path, slug: str | None = None) -> Submission:
    """Where the platform put the mask of each case.

    A job's input image tells the case; its output image lies in a folder of its own, under whatever name. A job
    without a mask, with two, or with a case that another job has too costs its case alone.

    Args:
        listing: The platform's `predictions.json`, in the folder that holds the jobs.
        slug: Which image output to score, where jobs have several.

    Returns:
        The masks, and what is wrong with the other cases.

    Raises:
        InputError: The list is not of this form, or points out of its folder.
    """
    masks: dict[str, Path] = {}
    problems: dict[str, str] = {}
    for case, folder in _folders(listing, slug):
        if case in masks or case in problems:
            # Neither can be told to be the one that counts.
            masks.pop(case, None)
            problems[case] = f"{listing}: more than one job is of this case; expected one"
            continue

        found = _masks_in(folder)
        if len(found) == 1:
            masks[case] = found[0]
            continue

        names = ", ".join(path.name for path in found) or "none"
        problems[case] = f"{folder}: expected one mask, found {names}"
    return Submission(masks, problems)


def join_jobs(submission: Submission, references_dir: Path, edition: Edition) -> tuple[list[Pair], list[str]]:
    """Join the masks of a submission with the references, in the order of the cases' names.

    Args:
        submission: As `read_jobs` gives it.
        references_dir: Flat folder of reference masks.
        edition: How they are called.

    Returns:
        Every reference with its mask, or with the reason why it counts as empty; and the cases of masks that have no
        reference.

    Raises:
        InputError: The references are none or ambiguous, or no job is of any of their cases.
    """
    references = references_by_case(references_dir, edition)
    listed = submission.masks.keys() | submission.problems.keys()
    shared = references.keys() & listed
    if not shared:
        raise InputError(f"{LISTING}: none of its {len(listed)} jobs is of a case of {references_dir}")

    # The references tell which cases there are; a job that is missing costs its case too.
    reference_files = ReferenceFiles.of(references_dir)
    pairs = []
    for case in sorted(references, key=natural_order):
        mask = submission.masks.get(case)
        problem = None
        if mask is None:
            problem = submission.problems.get(case, NO_JOB)
        pair = Pair(case, references[case], mask, problem)
        checked = reference_files.refuse_link(pair)
        pairs.append(checked)

    extra = submission.masks.keys() - references.keys()
    return pairs, sorted(extra, key=natural_order)


def _masks_in(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.glob("*")):
        is_hidden = path.name.startswith(".")
        if image_stem(path) and not is_hidden:
            found.append(path)
    return found


def _folders(listing: Path, slug: str | None) -> list[tuple[str, Path]]:
    """Case and folder of the mask of each job, in the order of the list."""
    root = listing.parent
    found = []
    try:
        for job in parse_json(listing.read_bytes()):
            place = Path(str(job["pk"]), "output", _place_of(job, slug))
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"{place} lies outside the submission")

            folder = root / place
            # A link in the place of a folder leads out of it too.
            if not folder.resolve().is_relative_to(root.resolve()):
                raise ValueError(f"{place} lies outside the submission")
            # A name of anyone's choice, which will be printed.
            case = shown(_case_of(job))
            found.append((case, folder))
    # Whatever JSON holds in the place of a list of jobs ends in one of these.
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of jobs with pk, inputs and outputs ({cause})") from error
    return found


def _case_of(job: dict) -> str:
    images = []
    for item in job["inputs"]:
        if item.get("image"):
            images.append(Path(item["image"]["name"]))

    # A job may have a T1 or a label beside the T2 image; only where none is called like a T2, any image will do.
    cases = [case for case in map(target_case, images) if case]
    if not cases:
        cases = [image_stem(image) or image.name for image in images]
    if len(cases) != 1:
        names = [str(image) for image in images]
        raise ValueError(f"job {job['pk']} has the input images {names}, expected one")
    return cases[0]


def _place_of(job: dict, slug: str | None) -> str:
    places = {}
    for item in job["outputs"]:
        # The platform renamed its interfaces to sockets; lists of both kinds are about.
        socket = item.get("socket") or item["interface"]
        name = socket["slug"]
        place = str(socket.get("relative_path") or f"images/{name}")
        # Lists of old do not tell the kind; images have a folder of their own.
        by_place = "Image" if place.startswith("images/") else "Value"
        kind = socket.get("super_kind", by_place)
        if kind == "Image" and slug in (None, name):
            places[name] = place

    # One that is chosen blindly may be a map of probabilities.
    if len(places) != 1:
        names = sorted(places)
        raise ValueError(f"job {job['pk']} has the image outputs {names}, expected one; name it by its slug")
    return next(iter(places.values()))
