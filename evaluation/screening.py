"""Which predictions of a folder are likely to have failed, told without references.

What is held against one is `vestibule.screening`'s: from the masks, and the images where given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evaluation.images import Images
from evaluation.scoring.alone import read_onto_image
from evaluation.scoring.cases import masks_by_case, natural_order
from evaluation.scoring.processes import each_in_a_process
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.screening import inside_head, screen_image, screen_labels
from vestibule.volume import read_labels, read_volume


@dataclass(frozen=True)
class Screened:
    """One case, and what speaks against its mask."""

    case: str
    reasons: tuple[str, ...] = ()
    """Empty where nothing does."""
    volumes_mm3: dict[str, float] = field(default_factory=dict)
    """Of each structure; empty where the mask could not be read."""


@dataclass(frozen=True)
class _Job:
    case: str
    masks: tuple[Path, ...]
    image: Path | None


def screen_folder(
    predictions_dir: Path,
    edition: Edition,
    images: Images | None = None,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> list[Screened]:
    """Look at every mask of a folder, in the order of the cases' names.

    Args:
        predictions_dir: Flat folder of masks.
        edition: How they are called and what their labels mean.
        images: The T2 images that were segmented: one without a mask is a case too, and masks are held against the
            head that the image shows.
        workers: How many processes share the cases, where a file that kills its reader costs its case alone; without,
            all happens in this process.
        on_case: Told how many cases of how many are done.

    Returns:
        What was found of each case.

    Raises:
        InputError: There is no mask.
    """
    masks = masks_by_case(Path(predictions_dir), edition)
    if not masks:
        raise InputError(f"{predictions_dir}: no mask of edition {edition.year} in this folder")
    by_case = (images or Images()).by_case

    # An image without a mask is a case, and so is a mask without an image.
    cases = sorted(masks.keys() | by_case.keys(), key=natural_order)
    jobs = []
    for case in cases:
        own_masks = tuple(masks.get(case, ()))
        image = by_case.get(case)
        jobs.append(_Job(case, own_masks, image))

    look = partial(_screen, edition=edition)
    here: Iterable[tuple[_Job, Screened | None]] = ((job, look(job)) for job in jobs)
    results = each_in_a_process(look, jobs, workers) if workers else here

    found: dict[str, Screened] = {}
    for job, result in results:
        if result is None:
            result = Screened(job.case, ("the process that read it died",))
        found[job.case] = result
        on_case(len(found), len(jobs))

    # Processes finish in any order.
    return [found[case] for case in cases]


def _screen(job: _Job, edition: Edition) -> Screened:
    if not job.masks:
        return Screened(job.case, ("no mask of this image",))
    if len(job.masks) > 1:
        names = ", ".join(path.name for path in job.masks)
        return Screened(job.case, (f"two masks: {names}",))

    path = job.masks[0]
    head = None
    of_image: list[str] = []
    try:
        if job.image is None:
            mask = read_labels(path)
        else:
            mask = read_onto_image(path, job.image)
            image = read_volume(job.image)
            head = inside_head(image)
            of_image = screen_image(image)
    except (InputError, MemoryError) as error:
        # A MemoryError has no text.
        cause = str(error) or "does not fit into memory"
        return Screened(job.case, (cause,))
    reasons, volumes = screen_labels(mask, edition, head, path.name)
    return Screened(job.case, (*of_image, *reasons), volumes)
