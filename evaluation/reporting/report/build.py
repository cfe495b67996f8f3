"""The pictures of an evaluation: reads what is shown of each case, and writes page and sheets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.images import Images
from evaluation.metrics import Mode, primary
from evaluation.reporting.table import structure_title
from evaluation.reporting.views import read_view
from evaluation.scoring.cases import join_cases
from evaluation.scoring.pairs import Pair
from evaluation.scoring.processes import each_in_a_process
from evaluation.scoring.scores import Scores
from vestibule.editions import Edition

if TYPE_CHECKING:
    from evaluation.reporting.report.sheets import SheetRow

PACKAGES = ("jinja2", "matplotlib", "ipyniivue")
"""What page and sheets need beside the scores."""
VIEWS = 100
"""Cases that can be opened in a report by default: about a megabyte each for images of the challenge."""


@dataclass(frozen=True)
class Pictures:
    """What is to be shown of an evaluation."""

    images: Images | None = None
    """The T2 images; without them the slices are black."""
    page: bool = True
    """Write `report.html`."""
    views: int = VIEWS
    """How many cases, the worst, can be opened in the page."""
    sheets: bool = False
    """Write PNG sheets of all cases."""


@dataclass(frozen=True)
class Job:
    """A case to read, and what for."""

    pair: Pair
    image_path: Path | None
    in_page: bool
    in_sheet: bool


@dataclass(frozen=True)
class Shown:
    """What page and sheets hold of a case, as far as each is wanted: far less than the view both are made of."""

    document: dict | None = None
    sheet_row: SheetRow | None = None
    image_fault: str | None = None


@dataclass(frozen=True)
class Built:
    """What was written, and which images could not be shown."""

    files: list[Path] = field(default_factory=list)
    image_faults: list[str] = field(default_factory=list)
    """A line for each."""


def missing_packages() -> list[str]:
    """Packages that a report needs and that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def build_report(
    scores: Scores,
    predictions_dir: Path,
    references_dir: Path,
    out_dir: Path,
    edition: Edition,
    wanted: Pictures,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Write `report.html` and `sheets/sheet_01.png` and on, as far as `wanted`.

    Args:
        scores: What the evaluation found.
        predictions_dir: Folder of the masks that were scored.
        references_dir: Folder of their references.
        out_dir: Where page and sheets go.
        edition: How files are called and what labels mean.
        wanted: What is to be written.
        workers: How many processes share the cases; without, all happens in this process.
        on_case: Told how many cases of how many are read.

    Returns:
        The files, and what is wrong with images; their cases are shown without them.

    Raises:
        InputError: A package is missing, a folder cannot be read or the disk refuses.
    """
    # They need packages that scores do without.
    from evaluation.reporting.report.page import worst_first, write_report
    from evaluation.reporting.report.sheets import write_sheets

    images = (wanted.images or Images()).by_case
    joined = join_cases(predictions_dir, references_dir, edition)
    pairs = {pair.case: pair for pair in joined.pairs}

    order = worst_first(scores.rows)
    jobs = []
    for place, case in enumerate(order):
        in_page = wanted.page and place < wanted.views
        if in_page or wanted.sheets:
            job = Job(pairs[case], images.get(case), in_page, wanted.sheets)
            jobs.append(job)

    # Without a closure, which other processes could not be given.
    read = partial(_read, edition=edition, mode=scores.mode)
    shown: dict[str, Shown] = {}
    for job, found in each_in_a_process(read, jobs, workers):
        # A case whose reader died has its scores in the table and nothing to show.
        shown[job.pair.case] = found or Shown()
        on_case(len(shown), len(jobs))

    # Processes finish in any order.
    in_order = {case: shown[case] for case in order if case in shown}
    faults = [item.image_fault for item in in_order.values() if item.image_fault]
    files = []
    if wanted.page:
        path = out_dir / "report.html"
        documents = {}
        for case, item in in_order.items():
            if item.document:
                documents[case] = item.document
        write_report(path, scores, documents)
        files.append(path)
    if wanted.sheets:
        rows = [item.sheet_row for item in in_order.values() if item.sheet_row]
        files += write_sheets(out_dir / "sheets", rows, _captions(scores), edition)
    return Built(files, faults)


def _read(job: Job, edition: Edition, mode: Mode) -> Shown:
    from evaluation.reporting.report.page import view_document
    from evaluation.reporting.report.sheets import sheet_row

    view = read_view(job.pair, edition, mode, job.image_path)
    document = view_document(view) if job.in_page else None
    row = sheet_row(view) if job.in_sheet else None
    return Shown(document, row, view.image_fault)


def _captions(scores: Scores) -> dict[str, str]:
    metric = primary()
    captions: dict[str, str] = {}
    for row in scores.rows:
        case = str(row["case"])
        name = structure_title(str(row["structure"]))
        caption = captions.get(case, case)
        captions[case] = f"{caption}   {name} {row[metric.key]:.2f}"
    return captions
