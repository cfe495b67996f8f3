"""`vestibule pictures`: results over the images that they were made from."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from evaluation.commands.options import views_option
from evaluation.images import find_images, told_faults
from evaluation.reporting.pictures import RenderedPictures, render_cases, render_predictions
from evaluation.reporting.report.build import VIEWS, missing_packages
from evaluation.scoring.cases import edition_of_masks
from evaluation.scoring.processes import chosen_workers
from vestibule import logs
from vestibule.commands.options import claim, edition_option, images_option, json_option, workers_option, write_result
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.progress import progress_bar

NAMES_SHOWN = 5


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MASKS [REFERENCES] OUT")
@edition_option()
@images_option("Folder of the T2 images that were segmented; it must be given.")
@click.option("--report", "wants_report", is_flag=True, help="Without references: also write report.html.")
@views_option(VIEWS)
@json_option("which pictures there are")
@workers_option()
def pictures(
    folders: tuple[Path, ...],
    edition: Edition | None,
    images: Path | None,
    wants_report: bool,
    views: int,
    json_path: Path | None,
    workers: int | None,
) -> None:
    """Render for each case the T2 image with the outlines of MASKS, and of REFERENCES if there are any, into OUT.

    Axial slices as PNG in the colours of the report, with the patient's sides at the edges and a scale bar. The slice
    is the one with most reference tumour; without one, with most predicted tumour, or most of any structure. Without
    references the title tells the tumour's volume, and --report writes the page of linked slices with volumes and what
    speaks against a mask. The order of earlier versions, IMAGES MASKS REFERENCES OUT without --images, still works.
    """
    images_dir, masks, references, out = _folders_of(folders, images)
    if references is not None:
        if wants_report:
            raise click.UsageError("--report is for masks without references; vestibule evaluate writes it with them")
        rules = edition_of_masks(references, edition)
        claim(out)
        known = find_images(images_dir, rules)
        found = render_cases(known, masks, references, out, rules)
        _tell(found, out, rules, None, json_path)
        for case, problem in found.problems.items():
            logs.tell(f"shown as empty: {case}: {problem}", logging.WARNING)
        _raise_for([], [*known.refused, *found.image_faults])
        return

    missing = ", ".join(missing_packages()) if wants_report else ""
    if missing:
        raise InputError(f"a report needs {missing}: pip install 'vestibule[evaluation]'")
    rules = edition_of_masks(masks, edition)
    claim(out)
    known = find_images(images_dir, rules)
    found = render_predictions(known, masks, out, rules)
    page = None
    if wants_report:
        from evaluation.reporting.report.predictions import build_predictions_report

        processes = chosen_workers(workers, len(found.files))
        with progress_bar("rendering") as advance:
            page = build_predictions_report(masks, known, out, rules, views, processes, advance)
    _tell(found, out, rules, page, json_path)

    for case, problem in found.problems.items():
        logs.tell(f"{case}: {problem}", logging.WARNING)
    faults = []
    if found.problems:
        names = list(found.problems)
        shown = ", ".join(names[:NAMES_SHOWN])
        first = found.problems[names[0]]
        faults.append(f"{len(names)} cases without a usable mask: {shown}; {names[0]}: {first}")
    _raise_for(faults, [*known.refused, *found.image_faults])


def _raise_for(faults: list[str], image_faults: list[str]) -> None:
    """Raise InputError, which ends in exit code 1, where there are faults of masks or of images."""
    of_images = told_faults(image_faults)
    if of_images:
        faults = [*faults, of_images]
    if faults:
        raise InputError("; ".join(faults))


def _tell(found: RenderedPictures, out: Path, edition: Edition, page: Path | None, json_path: Path | None) -> None:
    """Say on standard output what was written, for people or as JSON."""
    pictures = {case: str(path) for case, path in found.files.items()}
    document = {
        "edition": edition.year,
        "pictures": pictures,
        "report": str(page) if page else None,
        "problems": found.problems,
        "image_faults": found.image_faults,
    }
    if not write_result(json_path, document):
        return
    if page:
        click.echo(page)
    logs.say(f"{len(pictures)} pictures in {out}")


def _folders_of(folders: tuple[Path, ...], images: Path | None) -> tuple[Path, Path, Path | None, Path]:
    """Images, masks, references (None without any) and out, from the arguments in either order.

    Raises click.UsageError for another number of folders.
    """
    if images is None and len(folders) == 4:
        logs.tell("note: now it is vestibule pictures MASKS REFERENCES OUT --images IMAGES")
        return folders
    if images is None:
        raise click.UsageError("name the folder of T2 images by --images")
    if len(folders) not in (2, 3):
        raise click.UsageError(f"expected MASKS OUT or MASKS REFERENCES OUT, got {len(folders)} folders")
    masks, *between, out = folders
    references = between[0] if between else None
    return images, masks, references, out
