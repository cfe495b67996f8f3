"""What is shown of a case: the image around its structures, with reference and prediction on the same voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.metrics import Mode
from evaluation.scoring.cases import Pair, read_pair, turned_onto
from vestibule.boxes import Box, bounding_box
from vestibule.editions import Edition, image_stem, target_case
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_volume, reorient

MARGIN_MM = 12.0
"""How much of the image is shown around the structures."""
MAX_VOXELS = 4 * 1024 * 1024
"""A view that would hold more shows the surroundings of the reference alone."""
WINDOW = (0.5, 99.5)
"""Percentiles of the shown image that become black and white."""


@dataclass(frozen=True)
class CaseView:
    """A crop of one case, axes running to the patient's right, front and head."""

    case: str
    image: np.ndarray
    """(Z, Y, X) uint8; all 0 where there is no image."""
    reference: np.ndarray
    """Labels (Z, Y, X) uint8."""
    prediction: np.ndarray
    """Labels (Z, Y, X) uint8; all 0 where there is no usable prediction."""
    geometry: Geometry
    notes: tuple[str, ...] = ()


def find_images(images_dir: Path) -> dict[str, Path]:
    """T2 images of a folder by case. Raises InputError where there is none."""
    if not Path(images_dir).is_dir():
        raise InputError(f"{images_dir}: no such folder")
    named = [(target_case(path), path) for path in sorted(Path(images_dir).iterdir())]
    images = {case: path for case, path in named if case and image_stem(path)}
    if not images:
        raise InputError(f"{images_dir}: no T2 image in this folder")
    return images


def read_view(pair: Pair, edition: Edition, mode: Mode = "default", image_path: Path | None = None) -> CaseView:
    """Read what is shown of a case; an image that cannot be shown is noted and left out.

    Raises InputError where the reference cannot be read.
    """
    aligned = read_pair(pair, mode)
    notes = [note for note in (aligned.problem, *aligned.notes) if note]
    known = [np.where(np.isin(values, edition.labels), values, 0) for values in (aligned.reference, aligned.prediction)]
    box, whole = _shown_box(*known, aligned.geometry)
    if not whole:
        notes.append("the prediction reaches beyond what is shown")
    shown = np.zeros(known[0][box].shape, dtype=np.uint8)
    if image_path is not None:
        try:
            shown = _windowed(_on_grid(image_path, aligned.geometry)[box])
        except InputError as error:
            notes.append(str(error))
    geometry = aligned.geometry.part(box)
    crops = [shown, *(values[box].astype(np.uint8) for values in known)]
    turned = [reorient(Volume(np.ascontiguousarray(crop), geometry), "RAS") for crop in crops]
    return CaseView(pair.case, *(volume.voxels for volume in turned), turned[0].geometry, tuple(notes))


def _on_grid(path: Path, geometry: Geometry) -> np.ndarray:
    turned = turned_onto(read_volume(path), geometry)
    if turned is None:
        raise InputError(f"{path}: not on the reference's grid, not shown")
    return turned.voxels


def _windowed(voxels: np.ndarray) -> np.ndarray:
    low, high = np.percentile(voxels, WINDOW)
    return (np.clip((voxels - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def _shown_box(reference: np.ndarray, prediction: np.ndarray, geometry: Geometry) -> tuple[Box, bool]:
    """The box to show, and whether it holds every structure."""
    boxes = [bounding_box(values) for values in (reference, prediction)]
    found = [box for box in boxes if box]
    if not found:
        return _grown(tuple(slice(size // 2, size // 2) for size in reference.shape), geometry, 40.0), True
    union = tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*found, strict=True))
    shown = _grown(union, geometry, MARGIN_MM)
    if np.prod([part.stop - part.start for part in shown]) <= MAX_VOXELS:
        return shown, True
    if boxes[0]:
        return _grown(boxes[0], geometry, MARGIN_MM), boxes[1] is None
    # Only a prediction, and all over the image: its middle.
    middle = tuple(slice((part.start + part.stop) // 2, (part.start + part.stop) // 2) for part in union)
    return _grown(middle, geometry, 40.0), False


def _grown(box: Box, geometry: Geometry, margin_mm: float) -> Box:
    grown = []
    for part, step, size in zip(box, geometry.spacing_zyx, geometry.size_zyx, strict=True):
        margin = int(np.ceil(margin_mm / step))
        grown.append(slice(max(0, part.start - margin), min(size, part.stop + margin)))
    return tuple(grown)
