"""The pictures of an evaluation: reads what is shown of each case, and writes page and sheets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluation.metrics import Mode
from evaluation.reporting.table import STRUCTURE_NAMES
from evaluation.reporting.views import find_images, read_view
from evaluation.scoring.cases import join_cases
from evaluation.scoring.processes import each_in_a_process
from evaluation.scoring.scores import Scores
from vestibule.editions import Edition

PACKAGES = ("jinja2", "matplotlib", "ipyniivue")
"""What page and sheets need beside the scores."""
VIEWS = 100
"""Cases that can be opened in a report by default: about a megabyte each for images of the challenge."""


@dataclass(frozen=True)
class Pictures:
    """What is to be drawn of an evaluation."""

    images_dir: Path | None = None
    """Folder of the T2 images; without it the slices are black."""
    page: bool = True
    """Write `report.html`."""
    views: int = VIEWS
    """How many cases, the worst, can be opened in the page."""
    sheets: bool = False
    """Write PNG sheets of all cases."""


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
) -> list[Path]:
    """Write `report.html` and `sheets/sheet_01.png` and on, as far as `wanted`; returns the files.

    Raises InputError where a package is missing, a folder cannot be read or the disk refuses.
    """
    from evaluation.reporting.report.page import worst_first, write_report
    from evaluation.reporting.report.sheets import write_sheets

    images = find_images(wanted.images_dir) if wanted.images_dir is not None else {}
    pairs = {pair.case: pair for pair in join_cases(predictions_dir, references_dir, edition).pairs}
    order = worst_first(scores.rows)
    opened = set(order[: wanted.views]) if wanted.page else set()
    drawn = set(order) if wanted.sheets else set()
    jobs = [(pairs[case], images.get(case), case in opened, case in drawn) for case in order if case in opened | drawn]
    read = partial(_read, edition=edition, mode=scores.mode)
    documents, rows = {}, {}
    for job, found in each_in_a_process(read, jobs, workers) if workers else ((job, read(job)) for job in jobs):
        # A case whose reader died has its scores in the table and nothing to show.
        documents[job[0].case], rows[job[0].case] = found or (None, None)
        on_case(len(documents), len(jobs))
    files = []
    if wanted.page:
        files.append(out_dir / "report.html")
        write_report(files[0], scores, {case: documents[case] for case in order if documents.get(case)})
    if wanted.sheets:
        files += write_sheets(out_dir / "sheets", [rows[case] for case in order if rows.get(case)], _captions(scores))
    return files


def _read(job: tuple, edition: Edition, mode: Mode) -> tuple:
    """What page and sheets hold of a case, as far as each is wanted: far less than the view that both are made of."""
    from evaluation.reporting.report.page import view_document
    from evaluation.reporting.report.sheets import sheet_row

    pair, image_path, in_page, in_sheet = job
    view = read_view(pair, edition, mode, image_path)
    return view_document(view) if in_page else None, sheet_row(view) if in_sheet else None


def _captions(scores: Scores) -> dict[str, str]:
    captions: dict[str, str] = {}
    for row in scores.rows:
        name = STRUCTURE_NAMES.get(row["structure"], row["structure"])
        captions[row["case"]] = f"{captions.get(row['case'], row['case'])}   {name} {row['dice']:.2f}"
    return captions
