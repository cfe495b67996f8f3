"""Which predictions are likely to have failed, told without references: from the masks, and the images where given.

What is held against a mask is what the challenge's data rules out or nearly so: a tumour and two cochleae in every
patient, one tumour, volumes as published, all of it inside the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from evaluation.head import inside_head
from evaluation.metrics.surfaces import bounding_box
from evaluation.reporting.views import find_images
from evaluation.scoring.cases import masks_by_case, natural_order, turned_onto
from evaluation.scoring.processes import each_in_a_process
from vestibule.editions import ANATOMY, Edition, get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_header, read_labels, read_volume

PARTS = {"vs": 1, "cochlea": 2}
"""Connected parts of each structure in nearly all labels of 2021: all of 105 tumours, 102 of 105 pairs of cochleae."""
BOTH_SIDES_MM = 30.0
"""Least extent from left to right of two cochleae. One is about 10 mm long; two lie twice as far apart as this."""
SIDE_SHARE = 0.2
"""A side with less than this share of the cochleae's volume is as good as missing: the two of a head are alike."""


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
    edition: int | Edition,
    images_dir: Path | None = None,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> list[Screened]:
    """Look at every mask of a folder, in the order of the cases' names.

    With `images_dir`, whose T2 images were segmented, an image without a mask is a case too, and masks are held against
    the head that the image shows. With `workers`, so many processes share the cases, and a file that kills its reader
    costs its case alone. Raises InputError where there is no mask, or no image in `images_dir`.
    """
    edition = edition if isinstance(edition, Edition) else get_edition(edition)
    masks = masks_by_case(Path(predictions_dir), edition)
    if not masks:
        raise InputError(f"{predictions_dir}: no mask of edition {edition.year} in this folder")
    images = find_images(images_dir) if images_dir is not None else {}
    names = sorted(masks.keys() | images.keys(), key=natural_order)
    jobs = [_Job(name, tuple(masks.get(name, ())), images.get(name)) for name in names]
    look = partial(_screen, edition=edition)
    found = {}
    for job, result in each_in_a_process(look, jobs, workers) if workers else ((job, look(job)) for job in jobs):
        found[job.case] = result or Screened(job.case, ("the process that read it died",))
        on_case(len(found), len(jobs))
    return [found[name] for name in names]


def screen_labels(mask: Volume, edition: Edition, head_zyx: np.ndarray | None = None) -> tuple[list[str], dict]:
    """What speaks against labels (Z, Y, X), and the volume of each structure in mm3.

    `head_zyx` (Z, Y, X) bool is the head on the same grid.
    """
    reasons, volumes = [], {}
    foreign = sorted(set(np.unique(mask.voxels).tolist()) - set(edition.labels))
    if foreign:
        reasons.append(f"holds {', '.join(map(str, foreign[:5]))}; edition {edition.year} knows {edition.labels}")
    for structure, labels in edition.structures.items():
        voxels = np.isin(mask.voxels, labels)
        volumes[structure] = float(np.count_nonzero(voxels) * np.prod(mask.geometry.spacing_zyx))
        found = _structure_reasons(structure, voxels, mask.geometry, head_zyx)
        reasons += [f"{structure}: {reason}" for reason in found]
    return reasons, volumes


def _screen(job: _Job, edition: Edition) -> Screened:
    if len(job.masks) != 1:
        names = ", ".join(path.name for path in job.masks)
        return Screened(job.case, (f"two masks: {names}" if names else "no mask of this image",))
    try:
        if job.image is None:
            mask, head = read_labels(job.masks[0]), None
        else:
            mask, head = _with_head(job.masks[0], job.image)
    except (InputError, MemoryError) as error:
        return Screened(job.case, (str(error) or "does not fit into memory",))
    reasons, volumes = screen_labels(mask, edition, head)
    return Screened(job.case, tuple(reasons), volumes)


def _with_head(mask_path: Path, image_path: Path) -> tuple[Volume, np.ndarray | None]:
    # The header first: it may promise more voxels than the memory holds.
    expected, found = read_header(image_path)[0], read_header(mask_path)[0]
    if sorted(found.size_zyx) != sorted(expected.size_zyx):
        raise InputError(
            f"{mask_path}: expected {expected.size_zyx} voxels (z, y, x) as its image has, got {found.size_zyx}"
        )
    mask = turned_onto(read_labels(mask_path), expected)
    if mask is None:
        raise InputError(f"{mask_path}: lies elsewhere than its image; write the mask with the image's geometry")
    return mask, inside_head(read_volume(image_path))


def _structure_reasons(structure: str, voxels: np.ndarray, geometry: Geometry, head: np.ndarray | None) -> list[str]:
    box = bounding_box(voxels)
    if box is None:
        return ["empty"]
    low, high = ANATOMY[structure].volume_mm3
    voxel_mm3 = float(np.prod(geometry.spacing_zyx))
    inside = voxels[box]
    volume = np.count_nonzero(inside) * voxel_mm3
    reasons = []
    if not low <= volume <= high:
        reasons.append(f"{volume:.0f} mm3; labels of 2021 have {low:.0f} to {high:.0f}")
    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1] * voxel_mm3
    beyond = float(sizes[PARTS[structure] :].sum())
    # As much as a structure can be: less is crumbs, which cost a score little.
    if beyond >= low / PARTS[structure]:
        reasons.append(
            f"{count} parts, {beyond:.0f} mm3 beyond the largest {PARTS[structure]}".replace("largest 1", "largest")
        )
    if PARTS[structure] == 2:
        reasons += _side_reasons(inside, [part.start for part in box], geometry)
    if head is not None and np.count_nonzero(voxels & head) * 2 < np.count_nonzero(voxels):
        reasons.append("most of it lies outside the head")
    return reasons


def _side_reasons(inside: np.ndarray, corner_zyx: list[int], geometry: Geometry) -> list[str]:
    """Whether a pair of structures is there on both sides of the patient, whatever the direction of the axes."""
    left = geometry.to_patient((np.argwhere(inside) + corner_zyx)[:, ::-1])[:, 0]
    if np.ptp(left) < BOTH_SIDES_MM:
        return ["on one side only"]
    share = float(np.mean(left > (left.min() + left.max()) / 2))
    if min(share, 1 - share) < SIDE_SHARE:
        return [
            f"nearly missing on the {'left' if share < 0.5 else 'right'}, {min(share, 1 - share):.0%} of its volume"
        ]
    return []
