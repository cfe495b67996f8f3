"""Planar contours and the voxels inside them.

A structure is a list of closed lines, each in one plane. On a slice, a point is inside where it lies in an odd number
of lines: so islands add up and a line within another is a hole, as planning systems write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Outline
from pydicom.dataset import Dataset

from vestibule.dicom.headers import read_dataset
from vestibule.errors import InputError
from vestibule.geometry import Geometry

PLANE_VOXELS = 0.1
"""By how many slices the points of one line may leave its plane: writers round to 0.01 mm."""


@dataclass(frozen=True)
class Structure:
    """One outlined structure."""

    name: str
    contours: tuple[np.ndarray, ...]
    """Closed lines, each (points, 3) in the patient's x, y, z, mm."""


@dataclass(frozen=True)
class StructureSet:
    """What an RTSTRUCT file holds."""

    path: Path
    structures: tuple[Structure, ...]
    series: tuple[str, ...]
    """UIDs of the series that it was drawn on."""


def read_structures(path: Path) -> StructureSet:
    """Read an RTSTRUCT file. Raises InputError, naming the file, where it is damaged or no RTSTRUCT."""
    dataset = read_dataset(path)
    modality = dataset.get("Modality", "none")
    if modality != "RTSTRUCT":
        raise InputError(f"{path}: expected an RTSTRUCT, got modality {modality!r}")
    try:
        return _structure_set(dataset, path)
    except (AttributeError, KeyError, TypeError) as error:
        # pydicom parses an element when it is asked for, and a cut file lacks some.
        raise InputError(f"{path}: a damaged RTSTRUCT ({error})") from error


def _structure_set(dataset: Dataset, path: Path) -> StructureSet:
    names = {}
    for roi in _items(dataset, "StructureSetROISequence"):
        names[int(roi.ROINumber)] = str(roi.ROIName).strip()

    structures = []
    for roi in _items(dataset, "ROIContourSequence"):
        number = int(roi.ReferencedROINumber)
        if number not in names:
            raise InputError(f"{path}: has contours of structure {number}, which it does not name")
        lines = []
        for contour in _items(roi, "ContourSequence"):
            points = _points(contour.get("ContourData"), names[number], path)
            kind = str(contour.get("ContourGeometricType", "CLOSED_PLANAR"))
            # A point or an open line marks a place and has no inside.
            if kind.startswith("CLOSED_PLANAR"):
                lines.append(points)
        structures.append(Structure(names[number], tuple(lines)))

    series = []
    for frame in _items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in _items(frame, "RTReferencedStudySequence"):
            for one in _items(study, "RTReferencedSeriesSequence"):
                series.append(str(one.SeriesInstanceUID))
    return StructureSet(path, tuple(structures), tuple(series))


def _items(dataset: Dataset, name: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is not there or empty."""
    return dataset.get(name) or []


def mask_of(contours: Sequence[np.ndarray], geometry: Geometry, what: str) -> np.ndarray:
    """Voxels whose centres lie inside closed lines.

    A line between two slices counts for the nearer one. Where lines of several planes fall on one slice, those of the
    nearest plane count, so that they do not cancel each other out. What reaches out of a slice is cut off.

    Args:
        contours: Lines (points, 3) in the patient, mm, each in one plane that is parallel to the slices.
        geometry: The grid.
        what: What messages call the structure, with its file.

    Returns:
        Bool (Z, Y, X).

    Raises:
        InputError: A line is not parallel to the slices, or lies outside of the grid.
    """
    mask = np.zeros(geometry.size_zyx, dtype=bool)
    size_yx = mask.shape[1:]
    # The plane that lies nearest to a slice says what is inside there.
    nearest: dict[int, _Plane] = {}
    for plane in _planes(contours, geometry, what):
        index = plane.slice
        other = nearest.get(index)
        if other is None or abs(plane.height - index) < abs(other.height - index):
            nearest[index] = plane
    for index, plane in nearest.items():
        for line_xy in plane.lines_xy:
            mask[index] ^= _inside(line_xy, size_yx)
    return mask


@dataclass
class _Plane:
    """Lines that lie in one plane."""

    height: float
    """In slices of the grid, from 0."""
    lines_xy: list[np.ndarray]
    """(points, 2) in voxels x, y."""

    @property
    def slice(self) -> int:
        """The nearest slice; halfway, the lower one."""
        return int(np.ceil(self.height - 0.5))


def _planes(contours: Sequence[np.ndarray], geometry: Geometry, what: str) -> list[_Plane]:
    """The planes of all lines, by height. Raises InputError for a line that leaves its plane or the grid."""
    lines: list[tuple[float, np.ndarray]] = []
    for points in contours:
        index_xyz = geometry.to_index(points)
        heights = index_xyz[:, 2]
        leaves_by = float(np.ptp(heights))
        if leaves_by > 2 * PLANE_VOXELS:
            raise InputError(
                f"{what}: a contour leaves its slice by {leaves_by:.1f} slices; it was not outlined on this series"
            )
        _check_place(index_xyz, points, geometry, what)
        lines.append((float(heights.mean()), index_xyz[:, :2]))
    lines.sort(key=lambda line: line[0])

    planes: list[_Plane] = []
    for height, line_xy in lines:
        # Lines of one plane differ in their last digits.
        if planes and height - planes[-1].height < PLANE_VOXELS:
            planes[-1].lines_xy.append(line_xy)
        else:
            planes.append(_Plane(height, [line_xy]))
    return planes


def _check_place(index_xyz: np.ndarray, points: np.ndarray, geometry: Geometry, what: str) -> None:
    """Raise InputError where none of a line's points (N, 3), given in voxels and in mm, lies within the grid."""
    size_xyz = np.array(geometry.size_zyx[::-1])
    # A voxel reaches half its side beyond its centre.
    after_first = index_xyz >= -0.5 - PLANE_VOXELS
    before_last = index_xyz <= size_xyz - 0.5 + PLANE_VOXELS
    within = (after_first & before_last).all(axis=1)
    if not within.any():
        centre = tuple(round(float(value), 1) for value in points.mean(axis=0))
        raise InputError(f"{what}: a contour lies outside of the image, around {centre} mm")


def _inside(line_xy: np.ndarray, size_yx: tuple[int, ...]) -> np.ndarray:
    """Voxels (Y, X) whose centres lie inside a closed line (points, 2) in voxels x, y."""
    inside = np.zeros(size_yx, dtype=bool)
    lowest = np.floor(line_xy.min(axis=0)).astype(int)
    highest = np.ceil(line_xy.max(axis=0)).astype(int)
    first_x, first_y = np.maximum(lowest, 0)
    last_x, last_y = np.maximum(highest, 0)
    part = inside[first_y : last_y + 1, first_x : last_x + 1]

    rows, columns = np.indices(part.shape)
    centres_xy = np.stack([columns.ravel() + first_x, rows.ravel() + first_y], axis=1)
    found = Outline(line_xy).contains_points(centres_xy)
    part[...] = found.reshape(part.shape)
    return inside


def _points(data: Sequence[str | float] | None, name: str, path: Path) -> np.ndarray:
    """The points (N, 3) of a contour's flat list of numbers."""
    try:
        numbers = np.asarray(data, dtype=float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    count = numbers.size
    if not count or count % 3 or not np.isfinite(numbers).all():
        raise InputError(f"{path}: a contour of {name!r} holds {count} numbers; expected x, y, z of each point")
    return numbers.reshape(-1, 3)
