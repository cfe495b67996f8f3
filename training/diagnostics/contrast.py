"""Whether tumours survive, measured on one case: contrast of its structures, and where its anatomy lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from training.gan.alignment import shift_between
from training.harmonisers.compositing import core_of
from vestibule.editions import TUMOUR, Edition, target_case
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.volume import read_labels, read_scan

if TYPE_CHECKING:
    from vestibule.pipeline import Model

RING_PX = (3.0, 8.0)
"""The surroundings: voxels of the same slices at more than the first and at most the second distance. The first
is where the default soft edge of the transfer ends, so that the harmonisation does not paint its own background."""
MIN_RING_VOXELS = 8


@dataclass(frozen=True)
class Contrast:
    """One structure in one image."""

    inside_mean: float
    ring_mean: float
    ring_sd: float
    cnr: float
    """Signed: above 0 where the structure is brighter than its surroundings."""
    rim: float | None
    """By how much the structure's outermost voxels are brighter than its core; None where it has no core."""


@dataclass(frozen=True)
class ContrastRow:
    """Contrast of one structure of one case in one of its intermediates."""

    case: str
    intermediate: str
    structure: str
    size: str
    """Class of the case's tumour."""
    volume_mm3: float
    """Of the structure, on the working grid."""
    inside_mean: float
    ring_mean: float
    ring_sd: float
    cnr: float
    rim: float | None = None


@dataclass(frozen=True)
class VolumeRow:
    """The tumour of one unseen case as the segmenter predicts it in one arm's synthetic T1."""

    case: str
    arm: str
    size: str
    true_mm3: float
    found_mm3: float
    """Of the true tumour, the predicted part."""
    predicted_mm3: float
    """All that is predicted."""


@dataclass(frozen=True)
class ShiftRow:
    """Where the anatomy of one case lies in one of its intermediates, against its scan."""

    case: str
    intermediate: str
    rows: float
    """Working voxels towards the back."""
    columns: float
    """Working voxels towards the patient's left."""


@dataclass(frozen=True)
class UnseenCase:
    """All that is measured of one unseen T2 case."""

    contrasts: list[ContrastRow]
    volumes: list[VolumeRow]
    shifts: list[ShiftRow]


def contrast(image: np.ndarray, mask: np.ndarray, others: np.ndarray) -> Contrast | None:
    """Contrast of a structure against its ring.

    Args:
        image: Intensities, (Z, Y, X).
        mask: The structure, bool (Z, Y, X).
        others: Voxels of any structure, bool (Z, Y, X); they do not belong to the ring.

    Returns:
        None where the image has no such structure, or no ring whose intensities vary.

    Raises:
        ValueError: The shapes differ.
    """
    if not image.shape == mask.shape == others.shape:
        shapes = image.shape, mask.shape, others.shape
        raise ValueError(f"image, mask and others must have one shape, got {shapes}")
    around = ring(mask) & ~others
    if around.sum() < MIN_RING_VOXELS:
        return None
    outside = image[around].astype(np.float64)
    ring_sd = float(outside.std())
    if ring_sd == 0:
        return None
    ring_mean = float(outside.mean())
    inside = image[mask].astype(np.float64)
    inside_mean = float(inside.mean())
    cnr = (inside_mean - ring_mean) / ring_sd

    # On T1 a tumour's outermost voxels are mixed with dark fluid; on T2 the fluid is bright.
    core = core_of(mask)
    outermost = mask & ~core
    rim = None
    if outermost.any():
        rim_mean = image[outermost].mean()
        core_mean = image[core].mean()
        rim = float(rim_mean - core_mean)
    return Contrast(inside_mean, ring_mean, ring_sd, cnr, rim)


def ring(mask: np.ndarray) -> np.ndarray:
    """Surroundings of `mask`, bool (Z, Y, X): its own slices alone, between the two distances of `RING_PX`."""
    nearest, farthest = RING_PX
    result = np.zeros_like(mask, dtype=bool)
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    for index in slices:
        distance = distance_transform_edt(~mask[index])
        result[index] = (distance > nearest) & (distance <= farthest)
    return result


def contrast_rows(
    case: str, images: dict[str, np.ndarray], labels: np.ndarray, voxel_mm3: float, edition: Edition
) -> list[ContrastRow]:
    """Contrast of every structure of one case in every image.

    Args:
        case: Its name.
        images: Intermediates by name, (Z, Y, X).
        labels: (Z, Y, X).
        voxel_mm3: Volume of a voxel.
        edition: What the labels mean.

    Returns:
        A row for each image and structure that has a contrast.
    """
    masks = {structure: edition.mask_of(labels, structure) for structure in edition.structures}
    labelled = labels > 0
    tumour_mm3 = masks[TUMOUR].sum() * voxel_mm3
    size = edition.size_class(tumour_mm3)
    rows = []
    for name, image in images.items():
        for structure, mask in masks.items():
            measured = contrast(image, mask, labelled)
            if measured is None:
                continue
            volume_mm3 = float(mask.sum() * voxel_mm3)
            row = ContrastRow(case, name, structure, size, volume_mm3, **asdict(measured))
            rows.append(row)
    return rows


def shift_rows(case: str, images: dict[str, np.ndarray]) -> list[ShiftRow]:
    """Shift of every image of `images` (name -> (Z, Y, X)) against the first, which is the scan."""
    scan: torch.Tensor | None = None
    shifts = []
    for name, volume in images.items():
        image = torch.from_numpy(volume)[:, None]  # (Z, 1, Y, X)
        if scan is None:
            scan = image
            continue
        rows, columns = shift_between(scan, image)
        shift = ShiftRow(case, name, rows, columns)
        shifts.append(shift)
    return shifts


def measure_unseen(image: Path, label: Path, models: dict[str, Model], edition: Edition) -> UnseenCase:
    """Measure an unseen T2 case and each arm's synthetic T1 of it.

    Args:
        image: The T2.
        label: Its reference mask.
        models: At least one, by arm; all work on one grid.
        edition: What labels mean.

    Returns:
        Contrast and shift in the T2 and in the synthetic T1, and the volume of the tumour predicted there.
    """
    case = target_case(image) or image.name
    any_model = next(iter(models.values()))
    working = to_working(read_scan(image), any_model.preprocessing)
    labels = mask_to_working(read_labels(label), working.geometry)  # (Z, Y, X)
    spacing = working.geometry.spacing_zyx
    voxel_mm3 = float(np.prod(spacing))
    true = edition.mask_of(labels, TUMOUR)
    true_mm3 = float(voxel_mm3 * true.sum())
    size = edition.size_class(true_mm3)

    images = {"T2": working.voxels}
    volumes = []
    for arm, model in models.items():
        synthetic = model.synthetic_t1(working)
        if model.translator is not None:
            images[f"synthetic T1, {arm}"] = synthetic
        probabilities = model.segmenter.probabilities(synthetic, spacing)  # (C, Z, Y, X)
        predicted_labels = probabilities.argmax(axis=0)
        predicted = edition.mask_of(predicted_labels, TUMOUR)
        found = true & predicted
        row = VolumeRow(
            case=case,
            arm=arm,
            size=size,
            true_mm3=true_mm3,
            found_mm3=float(voxel_mm3 * found.sum()),
            predicted_mm3=float(voxel_mm3 * predicted.sum()),
        )
        volumes.append(row)

    contrasts = contrast_rows(case, images, labels, voxel_mm3, edition)
    shifts = shift_rows(case, images)
    return UnseenCase(contrasts, volumes, shifts)
