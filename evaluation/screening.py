"""Which predictions are likely to have failed, told without references: from the masks, and the images where given.

What is held against a mask is what the challenge's data rules out or nearly so: a tumour and two cochleae in every
patient, one tumour, volumes as published, all of it inside the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from evaluation.reporting.views import find_images
from evaluation.scoring.alone import read_onto_image
from evaluation.scoring.cases import masks_by_case, natural_order
from evaluation.scoring.processes import each_in_a_process
from vestibule.boxes import bounding_box
from vestibule.editions import Anatomy, Edition
from vestibule.errors import InputError
from vestibule.geometry import settled
from vestibule.head import head_outline
from vestibule.volume import Geometry, Volume, read_labels, read_volume

BOTH_SIDES_MM = 30.0
"""Least extent from left to right of two cochleae. One is about 10 mm long; two lie twice as far apart as this."""
SIDE_SHARE = 0.2
"""A side with less than this share of the cochleae's volume is as good as missing: the two of a head are alike."""
CONNECTIVITY = np.ones((3, 3, 3))
"""Voxels that touch by a corner are of one part."""


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
    images_dir: Path | None = None,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> list[Screened]:
    """Look at every mask of a folder, in the order of the cases' names.

    Args:
        predictions_dir: Flat folder of masks.
        edition: How they are called and what their labels mean.
        images_dir: The T2 images that were segmented: one without a mask is a case too, and masks are held against the
            head that the image shows.
        workers: How many processes share the cases, where a file that kills its reader costs its case alone; without,
            all happens in this process.
        on_case: Told how many cases of how many are done.

    Returns:
        What was found of each case.

    Raises:
        InputError: There is no mask, or no image in `images_dir`.
    """
    masks = masks_by_case(Path(predictions_dir), edition)
    if not masks:
        raise InputError(f"{predictions_dir}: no mask of edition {edition.year} in this folder")
    images = {}
    if images_dir is not None:
        images = find_images(images_dir, edition)

    # An image without a mask is a case, and so is a mask without an image.
    cases = sorted(masks.keys() | images.keys(), key=natural_order)
    jobs = []
    for case in cases:
        own_masks = tuple(masks.get(case, ()))
        image = images.get(case)
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


def screen_labels(
    mask: Volume, edition: Edition, head_zyx: np.ndarray | None = None, name: str = "the mask"
) -> tuple[list[str], dict[str, float]]:
    """What speaks against labels, and the volume of each structure.

    Args:
        mask: Labels (Z, Y, X).
        edition: What they mean.
        head_zyx: The head (Z, Y, X) bool on the same grid, where there is an image.
        name: What reasons call the mask's file.

    Returns:
        Reasons, none where nothing speaks against the mask, and volumes in mm3.
    """
    reasons: list[str] = []
    foreign = edition.foreign_labels(mask.voxels)
    if foreign:
        # A mask that is no mask at all may hold thousands.
        first = foreign[:5]
        shown = ", ".join(f"{value:g}" for value in first)
        reasons.append(f"{name} holds {shown}; edition {edition.year} knows {edition.labels}")

    volumes: dict[str, float] = {}
    voxel_mm3 = _voxel_mm3(mask.geometry)
    for structure in edition.structures:
        voxels = edition.mask_of(mask.voxels, structure)  # (Z, Y, X)
        count = int(np.count_nonzero(voxels))
        volumes[structure] = count * voxel_mm3

        anatomy = edition.anatomy_of(structure)
        found = _structure_reasons(anatomy, voxels, mask.geometry, head_zyx)
        # Named by its structure, as one mask may fail in several.
        reasons += [f"{structure}: {reason}" for reason in found]
    return reasons, volumes


def inside_head(image: Volume) -> np.ndarray:
    """Voxels (Z, Y, X) bool between tissue along a row or a column of their slice, so that air in the head is in it.

    The head is `head_outline`'s, coarse: enough to see that a mask lies in the air. All of an image without contrast is
    inside.
    """
    head, steps = head_outline(image, "points")  # (z, y, x) of coarse voxels
    if not head.any():
        return np.ones(image.voxels.shape, dtype=bool)

    # Within slices alone: the first and the last slice may cut the head off.
    across_slices = int(np.argmax(settled(image.geometry.spacing_zyx)))
    for axis in range(3):
        if axis == across_slices:
            continue
        before = np.maximum.accumulate(head, axis=axis)
        from_the_end = np.maximum.accumulate(np.flip(head, axis), axis=axis)
        behind = np.flip(from_the_end, axis)
        head = head | (before & behind)

    # Back onto the image's voxels; the last block may reach beyond them.
    for axis, (step, size) in enumerate(zip(steps, image.voxels.shape, strict=True)):
        repeated = np.repeat(head, step, axis=axis)
        head = repeated.take(np.arange(size), axis=axis)
    return head  # (Z, Y, X) of the image


def _screen(job: _Job, edition: Edition) -> Screened:
    if not job.masks:
        return Screened(job.case, ("no mask of this image",))
    if len(job.masks) > 1:
        names = ", ".join(path.name for path in job.masks)
        return Screened(job.case, (f"two masks: {names}",))

    path = job.masks[0]
    head = None
    try:
        if job.image is None:
            mask = read_labels(path)
        else:
            mask = read_onto_image(path, job.image)
            head = inside_head(read_volume(job.image))
    except (InputError, MemoryError) as error:
        # A MemoryError has no text.
        cause = str(error) or "does not fit into memory"
        return Screened(job.case, (cause,))
    reasons, volumes = screen_labels(mask, edition, head, path.name)
    return Screened(job.case, tuple(reasons), volumes)


def _structure_reasons(anatomy: Anatomy, voxels: np.ndarray, geometry: Geometry, head: np.ndarray | None) -> list[str]:
    """What speaks against one structure's voxels (Z, Y, X) bool, as far as its anatomy is known."""
    box = bounding_box(voxels)
    if box is None:
        return ["empty"]
    inside = voxels[box]
    count = np.count_nonzero(inside)
    reasons = []

    if anatomy.volume_mm3 is not None:
        low, high = anatomy.volume_mm3
        volume = count * _voxel_mm3(geometry)
        if not low <= volume <= high:
            reasons.append(f"{volume:.0f} mm3; labels of the challenge have {low:.0f} to {high:.0f}")
        if anatomy.components is not None:
            reasons += _component_reasons(inside, anatomy.components, low, geometry)

    if anatomy.components == 2:
        corner_zyx = [part.start for part in box]
        reasons += _side_reasons(inside, corner_zyx, geometry)

    # Half, as the coarse head may miss its own rim.
    if head is not None:
        in_head = np.count_nonzero(voxels & head)
        if in_head * 2 < count:
            reasons.append("most of it lies outside the head")
    return reasons


def _component_reasons(inside: np.ndarray, expected: int, least_mm3: float, geometry: Geometry) -> list[str]:
    """Whether there is more than `expected` connected parts of a structure whose volume is at least `least_mm3`."""
    parts, count = ndimage.label(inside, CONNECTIVITY)
    voxels_each = np.bincount(parts.ravel())[1:]  # without the background
    largest_first = np.sort(voxels_each)[::-1]
    sizes_mm3 = largest_first * _voxel_mm3(geometry)
    further = sizes_mm3[expected:]
    beyond = float(further.sum())

    # As much as a part can be: less is crumbs, which cost a score little.
    least_of_a_part = least_mm3 / expected
    if beyond < least_of_a_part:
        return []

    largest = "largest" if expected == 1 else f"largest {expected}"
    return [f"{count} parts, {beyond:.0f} mm3 beyond the {largest}"]


def _side_reasons(inside: np.ndarray, corner_zyx: list[int], geometry: Geometry) -> list[str]:
    """Whether a pair of structures is there on both sides of the patient, whatever the direction of the axes."""
    indices_zyx = np.argwhere(inside) + corner_zyx  # (voxels, 3)
    points_mm = geometry.to_patient(indices_zyx[:, ::-1])  # (voxels, 3), x towards the patient's left
    left = points_mm[:, 0]
    # Two specks of one cochlea are no pair, however well they balance.
    if np.ptp(left) < BOTH_SIDES_MM:
        return ["on one side only"]

    middle = (left.min() + left.max()) / 2
    left_share = float(np.mean(left > middle))
    right_share = 1 - left_share
    least = min(left_share, right_share)
    if least >= SIDE_SHARE:
        return []

    side = "left" if left_share < 0.5 else "right"
    return [f"nearly missing on the {side}, {least:.0%} of its volume"]


def _voxel_mm3(geometry: Geometry) -> float:
    return float(np.prod(geometry.spacing_zyx))
