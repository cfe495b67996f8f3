"""What a mask says of a tumour: volume, diameter, side and parts; and the volumes of both cochleae.

Diameters follow the consensus meeting on reporting vestibular schwannoma (Kanzaki et al., Otology & Neurotology 24,
2003, p. 642): the largest one in the axial plane of the part outside of the internal auditory canal, and a grade by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from vestibule.boxes import bounding_box
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.screening import BOTH_SIDES_MM, CONNECTIVITY, MOST_VOXELS
from vestibule.volume import Geometry, Volume, read_labels

COCHLEA = "cochlea"
EXTRAMEATAL = "vs_extrameatal"
LEFT, RIGHT = "left", "right"

GRADES_MM = (10.0, 20.0, 30.0, 40.0)
"""Largest extra-meatal diameters of grades 1 to 4; a larger tumour is of grade 5. Kanzaki et al. 2003."""


@dataclass(frozen=True)
class Sizes:
    """What was measured in one mask. None stands for what the mask does not tell."""

    case: str
    side: str | None = None
    """`left` or `right` of the patient; None without a tumour, or without both cochleae to tell the middle."""
    volume_mm3: float | None = None
    volume_ml: float | None = None
    extrameatal_mm3: float | None = None
    """None where the edition's labels do not tell the parts of a tumour apart."""
    axial_diameter_mm: float | None = None
    """The largest in an axial slice of the whole tumour; None without one."""
    extrameatal_diameter_mm: float | None = None
    """The same of the part outside of the canal; 0 where the tumour lies within it."""
    grade: int | None = None
    """0 (within the canal) to 5, by the extra-meatal diameter."""
    parts: int | None = None
    """Connected parts of the tumour; voxels that touch by a corner are of one part."""
    cochlea_left_mm3: float | None = None
    cochlea_right_mm3: float | None = None
    problem: str | None = None
    """Why nothing could be measured, or what is doubtful."""


def measure_file(path: Path, case: str, edition: Edition) -> Sizes:
    """Measure the mask in a file; one that cannot be read or holds foreign labels has its problem named."""
    try:
        mask = read_labels(path)
    except (InputError, MemoryError) as error:
        # A MemoryError has no text.
        return Sizes(case, problem=str(error) or f"{path}: does not fit into memory")
    foreign = edition.foreign_labels(mask.voxels)
    if foreign:
        return Sizes(case, problem=f"{path}: holds {foreign[0]:g}; edition {edition.year} knows {edition.labels}")
    labelled = np.count_nonzero(mask.voxels)
    if labelled > MOST_VOXELS:
        return Sizes(case, problem=f"{path}: holds {labelled} voxels of its structures, more than ears have")
    return measure(mask, case, edition)


def measure(mask: Volume, case: str, edition: Edition) -> Sizes:
    """Measure labels.

    Args:
        mask: Labels (Z, Y, X) in the patient.
        case: What the result is called.
        edition: What the labels mean.

    Returns:
        Volumes in mm3 and mL, diameters in mm.
    """
    geometry = mask.geometry
    tumour = edition.mask_of(mask.voxels, TUMOUR)  # (Z, Y, X)
    cochleae = edition.mask_of(mask.voxels, COCHLEA)
    volume_mm3 = _volume_mm3(tumour, geometry)
    middle = _middle(cochleae, geometry)

    cochlea_left = cochlea_right = None
    if middle is not None:
        lies_left = _points_mm(cochleae, geometry)[:, 0] > middle
        voxel_mm3 = float(np.prod(geometry.spacing_zyx))
        cochlea_left = float(np.count_nonzero(lies_left)) * voxel_mm3
        cochlea_right = float(np.count_nonzero(~lies_left)) * voxel_mm3
    known = Sizes(
        case,
        volume_mm3=volume_mm3,
        volume_ml=volume_mm3 / 1000,
        parts=_count_parts(tumour),
        cochlea_left_mm3=cochlea_left,
        cochlea_right_mm3=cochlea_right,
    )
    if not volume_mm3:
        return replace(known, problem="no tumour in the mask")

    side = None
    problem = None
    if middle is None:
        problem = "the mask does not show both cochleae, which tell the side"
    else:
        centre = _points_mm(tumour, geometry).mean(axis=0)
        side = LEFT if centre[0] > middle else RIGHT

    outside_mm3 = outside_mm = grade = None
    if edition.parts:
        outside = edition.mask_of(mask.voxels, EXTRAMEATAL)
        outside_mm3 = _volume_mm3(outside, geometry)
        outside_mm = axial_diameter_mm(outside, geometry)
        grade = grade_of(outside_mm)
    return replace(
        known,
        side=side,
        extrameatal_mm3=outside_mm3,
        axial_diameter_mm=axial_diameter_mm(tumour, geometry),
        extrameatal_diameter_mm=outside_mm,
        grade=grade,
        problem=problem,
    )


def axial_diameter_mm(structure: np.ndarray, geometry: Geometry) -> float:
    """The largest distance in mm between two points of a structure that lie in one axial slice; 0 where it is empty.

    Points are the corners of voxels, so that a voxel has its diagonal. The slices are those of the grid along the axis
    that lies closest to the patient's long axis, in images of any orientation.

    Args:
        structure: Voxels (Z, Y, X) bool.
        geometry: Their grid.
    """
    box = bounding_box(structure)
    if box is None:
        return 0.0
    part = structure[box]
    # Rows of the matrix are the patient's axes, columns x, y and z of the grid.
    upright_xyz = int(np.argmax(np.abs(geometry.matrix[2])))
    upright_zyx = 2 - upright_xyz
    in_plane_mm = np.delete(np.asarray(geometry.spacing_zyx), upright_zyx)

    largest = 0.0
    for plane in np.moveaxis(part, upright_zyx, 0):
        indices = np.argwhere(plane)
        if not len(indices):
            continue
        corners = np.concatenate([indices + offset for offset in ((0, 0), (0, 1), (1, 0), (1, 1))])
        points_mm = corners * in_plane_mm  # (points, 2)
        # The two that lie furthest apart are on the hull.
        hull = points_mm[ConvexHull(points_mm).vertices]
        largest = max(largest, float(pdist(hull).max()))
    return largest


def grade_of(extrameatal_diameter_mm: float) -> int:
    """Grade 0 to 5 of a tumour by its largest extra-meatal diameter. Kanzaki et al. 2003."""
    if extrameatal_diameter_mm <= 0:
        return 0
    grade = 1
    for limit in GRADES_MM:
        if extrameatal_diameter_mm > limit:
            grade += 1
    return grade


def _volume_mm3(structure: np.ndarray, geometry: Geometry) -> float:
    return float(np.count_nonzero(structure) * np.prod(geometry.spacing_zyx))


def _count_parts(structure: np.ndarray) -> int:
    box = bounding_box(structure)
    if box is None:
        return 0
    _, count = ndimage.label(structure[box], CONNECTIVITY)
    return int(count)


def _points_mm(structure: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Centres (voxels, 3) of a structure's voxels in the patient, x towards the left."""
    indices_zyx = np.argwhere(structure)
    return geometry.to_patient(indices_zyx[:, ::-1])


def _middle(cochleae: np.ndarray, geometry: Geometry) -> float | None:
    """Where the head's middle lies from right to left, mm; None where not both cochleae are there."""
    left_mm = _points_mm(cochleae, geometry)[:, 0]
    # One cochlea is about 10 mm long; two lie much further apart.
    if not len(left_mm) or np.ptp(left_mm) < BOTH_SIDES_MM:
        return None
    return float((left_mm.min() + left_mm.max()) / 2)
