"""What is shown of a case: the image around its structures, with reference and prediction on the same voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evaluation.metrics import Mode
from evaluation.scoring.cases import AlignedPair, read_pair
from evaluation.scoring.pairs import Pair
from vestibule.boxes import Box, bounding_box, union_of, widened
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.geometry import settled
from vestibule.turning import turned_onto
from vestibule.volume import Geometry, Volume, read_volume, reorient

MARGIN_MM = 12.0
"""How much of the image is shown around the structures."""
MIDDLE_MM = 40.0
"""How much is shown around the image's middle where no structure tells what to show."""
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
    opened_at_zyx: tuple[int, int, int] = (0, 0, 0)
    """The voxel that is looked at first: the middle of the tumour in the slice that shows most of it."""
    first_slice: int = 0
    """Number of the lowest slice in the whole image, whose slices count from 0 at the feet."""
    slices: int = 0
    """Slices of the whole image."""
    image_fault: str | None = None
    """Why the image cannot be shown; None where it is, or where there is none."""


def read_view(pair: Pair, edition: Edition, mode: Mode = "default", image_path: Path | None = None) -> CaseView:
    """Read what is shown of a case.

    Args:
        pair: Where its masks are.
        edition: Which labels they may hold.
        mode: Whose rules tell whether a prediction fits.
        image_path: Its T2 image, if there is one; one that cannot be shown is noted and left out.

    Returns:
        The crop that is shown.

    Raises:
        InputError: The reference cannot be used.
    """
    aligned = read_pair(pair, edition, mode)
    voxels = None
    fault = None
    if image_path is not None:
        try:
            voxels = on_grid(image_path, aligned.geometry)
        except InputError as error:
            fault = str(error)
    notes = [fault] if fault else []
    view = view_of(pair.case, aligned, voxels, edition, notes)
    return replace(view, image_fault=fault)


def view_of(
    case: str, aligned: AlignedPair, voxels: np.ndarray | None, edition: Edition, further_notes: Sequence[str] = ()
) -> CaseView:
    """What is shown of labels and an image.

    Args:
        case: What the case is called.
        aligned: Labels of reference and prediction, either of which may be empty.
        voxels: The image (Z, Y, X) on the same grid; None where there is none to show.
        edition: What labels mean.
        further_notes: What else is to be told.

    Returns:
        The crop that is shown.
    """
    notes = list(aligned.notes)
    if aligned.problem:
        notes.insert(0, aligned.problem)
    box, is_whole = _shown_box(aligned.reference, aligned.prediction, aligned.geometry)
    if not is_whole:
        notes.append("the prediction reaches beyond what is shown")

    notes += further_notes

    shown = np.zeros_like(aligned.reference[box])
    if voxels is not None:
        shown = _windowed(voxels[box])

    geometry = aligned.geometry.part(box)

    def turned(crop: np.ndarray) -> Volume:
        volume = Volume(np.ascontiguousarray(crop), geometry)
        return reorient(volume, "RAS")

    image = turned(shown)
    reference = turned(aligned.reference[box])
    prediction = turned(aligned.prediction[box])
    first_slice, slices = slice_numbers(image.geometry, aligned.geometry)
    return CaseView(
        case=case,
        image=image.voxels,
        reference=reference.voxels,
        prediction=prediction.voxels,
        geometry=image.geometry,
        notes=tuple(notes),
        opened_at_zyx=place_to_open(reference.voxels, prediction.voxels, edition),
        first_slice=first_slice,
        slices=slices,
    )


def main_structure(reference: np.ndarray, prediction: np.ndarray, edition: Edition) -> np.ndarray:
    """What a case is looked at for, bool (Z, Y, X): the reference's tumour, else the predicted one, else any structure.

    Args:
        reference: Labels (Z, Y, X).
        prediction: Labels (Z, Y, X).
        edition: What they mean.

    Returns:
        The first of these that is not empty; all False where there is nothing.
    """
    first, *_ = edition.structures
    structure = TUMOUR if TUMOUR in edition.structures else first
    for labels in (reference, prediction):
        mask = edition.mask_of(labels, structure)
        if mask.any():
            return mask
    if reference.any():
        return reference > 0
    return prediction > 0


def place_to_open(reference: np.ndarray, prediction: np.ndarray, edition: Edition) -> tuple[int, int, int]:
    """The voxel (z, y, x) in the middle of the main structure's largest axial section, or of the volume."""
    mask = main_structure(reference, prediction, edition)
    areas = mask.sum(axis=(1, 2))  # (Z,)
    if not areas.any():
        z, y, x = mask.shape
        return z // 2, y // 2, x // 2
    index = int(areas.argmax())
    rows, columns = np.nonzero(mask[index])
    return index, int(rows.mean()), int(columns.mean())


def slice_numbers(part: Geometry, whole: Geometry) -> tuple[int, int]:
    """Which slice of an image the lowest one of a part of it is, counted from 0 at the feet, and of how many.

    Args:
        part: Grid of the part, its z axis towards the head.
        whole: Grid of the image, its axes in any order and direction.

    Returns:
        The number of the slice, and the number of slices.
    """
    upwards = part.matrix[:, 2]
    heights_mm = whole.corners() @ upwards
    lowest_mm = heights_mm.min()
    spacing_mm = part.spacing_zyx[0]
    own_mm = np.asarray(part.origin_xyz) @ upwards
    first = round((own_mm - lowest_mm) / spacing_mm)
    last = round((heights_mm.max() - lowest_mm) / spacing_mm)
    return first, last + 1


def on_grid(path: Path, geometry: Geometry) -> np.ndarray:
    """Voxels (Z, Y, X) of an image turned onto the reference's grid. Raises InputError where it lies on another one."""
    image = read_volume(path)
    turned = turned_onto(image, geometry)
    if turned is not None:
        return turned.voxels
    found, expected = image.geometry.size_zyx, geometry.size_zyx
    if sorted(found) != sorted(expected):
        raise InputError(f"{path}: not on the reference's grid: has size {found} (z, y, x), its reference {expected}")
    raise InputError(f"{path}: not on the reference's grid, not shown")


def _windowed(voxels: np.ndarray) -> np.ndarray:
    """Intensities between the window's percentiles as 0 to 255, uint8."""
    low, high = np.percentile(voxels, WINDOW)
    # A constant crop has no contrast to stretch.
    contrast = max(high - low, 1e-6)
    scaled = (voxels - low) / contrast
    clipped = np.clip(scaled, 0, 1)
    return (clipped * 255).astype(np.uint8)


def _shown_box(reference: np.ndarray, prediction: np.ndarray, geometry: Geometry) -> tuple[Box, bool]:
    """The box to show, and whether it holds every structure."""
    expected = bounding_box(reference)
    predicted = bounding_box(prediction)
    if expected is None and predicted is None:
        z, y, x = geometry.size_zyx
        whole = slice(0, z), slice(0, y), slice(0, x)
        middle = _middle(whole)
        return _grown(middle, geometry, MIDDLE_MM), True

    boxes = [box for box in (expected, predicted) if box is not None]
    union = union_of(*boxes)
    shown = _grown(union, geometry, MARGIN_MM)
    sides = [side.stop - side.start for side in shown]
    if np.prod(sides) <= MAX_VOXELS:
        return shown, True

    # A prediction all over the image.
    if expected is not None:
        return _grown(expected, geometry, MARGIN_MM), predicted is None
    return _grown(_middle(union), geometry, MIDDLE_MM), False


def _middle(box: Box) -> Box:
    """The middle of a box, as a box of no voxel."""
    sides = []
    for side in box:
        middle = (side.start + side.stop) // 2
        sides.append(slice(middle, middle))
    z, y, x = sides
    return z, y, x


def _grown(box: Box, geometry: Geometry, margin_mm: float) -> Box:
    """The box with a margin on every side, as far as the image goes."""
    margin_zyx = [int(np.ceil(margin_mm / spacing_mm)) for spacing_mm in settled(geometry.spacing_zyx)]
    return widened(box, margin_zyx, geometry.size_zyx)
