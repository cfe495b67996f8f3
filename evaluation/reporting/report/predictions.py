"""`report.html` of masks without references: volumes, what speaks against a mask, and the slices of each case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluation.images import Images
from evaluation.metrics.volume import VOLUME
from evaluation.reporting.report.page import doubtful_first, view_document, write_report
from evaluation.reporting.views import view_of
from evaluation.scoring.alone import read_alone
from evaluation.scoring.cases import masks_by_case
from evaluation.scoring.processes import each_in_a_process
from evaluation.scoring.scores import Row, Scores
from evaluation.screening import Screened, screen_folder
from vestibule.editions import Edition
from vestibule.errors import InputError


@dataclass(frozen=True)
class _Job:
    case: str
    mask: Path
    image: Path


def build_predictions_report(
    predictions_dir: Path,
    images: Images,
    out_dir: Path,
    edition: Edition,
    views: int,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the page of masks that have no references.

    Args:
        predictions_dir: Flat folder of predicted masks.
        images: The T2 images that were segmented; a case whose image cannot be read has a row in the table alone.
        out_dir: Where `report.html` goes.
        edition: How files are called and what labels mean.
        views: How many cases can be opened, those that may have failed first.
        workers: How many processes share the cases; without, all happens in this process.
        on_case: Told how many cases of how many are read.

    Returns:
        The page.

    Raises:
        InputError: The folder holds no masks, or the disk refuses.
    """
    screened = screen_folder(predictions_dir, edition, images, workers)
    scores = _as_scores(screened, edition)
    masks = masks_by_case(predictions_dir, edition)

    jobs = []
    order = doubtful_first(scores)
    for case in order:
        own = masks.get(case, [])
        # A case without an image, or with two masks, has a row in the table alone.
        if case in images.by_case and len(own) == 1:
            jobs.append(_Job(case, own[0], images.by_case[case]))
    jobs = jobs[:views]

    documents: dict[str, dict] = {}
    read = partial(_read, edition=edition)
    for done, (job, document) in enumerate(each_in_a_process(read, jobs, workers), start=1):
        if document is not None:
            documents[job.case] = document
        on_case(done, len(jobs))

    path = out_dir / "report.html"
    in_order = {case: documents[case] for case in order if case in documents}
    write_report(path, scores, in_order, title="Predictions", is_scored=False)
    return path


def _read(job: _Job, edition: Edition) -> dict | None:
    try:
        aligned, voxels = read_alone(job.mask, job.image, edition)
    except InputError:
        # The table says so, from the screening.
        return None
    view = view_of(job.case, aligned, voxels, edition)
    return view_document(view)


def _as_scores(screened: list[Screened], edition: Edition) -> Scores:
    """Volumes as the page's rows, and what speaks against a mask as its notes."""
    rows: list[Row] = []
    notes = {}
    for item in screened:
        for structure in edition.structures:
            row: Row = {"case": item.case, "structure": structure}
            if structure in item.volumes_mm3:
                row[VOLUME.key] = item.volumes_mm3[structure]
            rows.append(row)
        if item.reasons:
            notes[item.case] = list(item.reasons)
    return Scores(rows, {}, "default", edition.year, notes=notes)
