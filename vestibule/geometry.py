"""Where a voxel grid lies in the patient: arithmetic between voxel indices and millimetres, without any image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vestibule.boxes import Box

WHOLE_VOXEL = 1e-6
"""Voxels by which an index may be off a whole number and still be taken for it."""
SPACING_DECIMALS = 5
"""Digits of a spacing in mm that decide anything in whole voxels. What follows is some writer's rounding."""


def settled(spacing_zyx: tuple[float, float, float]) -> tuple[float, float, float]:
    """Voxel spacing in mm without the last digits, in which two copies of one image may differ.

    For whatever is decided in whole voxels, such as how many make up 3 mm: at a spacing of 1.2 mm that is 2.5, which
    the last digit would round up or down. Where voxels are placed, no digit is left out.
    """
    decimals = np.round(np.asarray(spacing_zyx, dtype=float), SPACING_DECIMALS)
    # As NIfTI stores them, so that an image in another format is treated alike.
    z, y, x = decimals.astype(np.float32).tolist()
    return z, y, x


STEADY_DECIMALS = 4
"""Digits of a spacing in mm that most files have."""
STEADY_WITHIN_MM = 5e-6
"""A spacing that is off such a number by no more is meant to be it."""
STEADY_AXES_WITHIN = 1e-6
"""Likewise for the entries of a direction, and those of 0 and 1."""


@dataclass(frozen=True)
class Geometry:
    """Where a voxel grid lies in the patient, in ITK's LPS millimetres."""

    size_zyx: tuple[int, int, int]
    spacing_zyx: tuple[float, float, float]
    """Voxel spacing in mm."""
    origin_xyz: tuple[float, float, float]
    """Centre of the first voxel in mm."""
    direction: tuple[float, ...]
    """Row-major 3 x 3 matrix: its columns are the patient directions of x, y and z."""

    @property
    def matrix(self) -> np.ndarray:
        """Direction as an array (3, 3)."""
        return np.asarray(self.direction, dtype=float).reshape(3, 3)

    @property
    def spacing_xyz(self) -> np.ndarray:
        """Voxel spacing in mm along x, y and z, as an array (3,)."""
        return np.asarray(self.spacing_zyx[::-1])

    def steady(self) -> Geometry:
        """This grid without the rounding of whoever wrote the file, so that two copies of an image get one mask.

        A spacing that is all but a number of four decimals becomes it. Axes that are off right angles by rounding
        become the nearest ones that are not, and exact ones where they lie along the patient's.
        """
        spacing = np.asarray(self.spacing_zyx, dtype=float)
        decimals = np.round(spacing, STEADY_DECIMALS)
        is_near = np.abs(spacing - decimals) <= STEADY_WITHIN_MM
        # As NIfTI stores it, which leaves what NIfTI files hold as it is.
        stored = decimals.astype(np.float32)
        spacing_z, spacing_y, spacing_x = np.where(is_near, stored, spacing).tolist()

        matrix = self.matrix
        whole = np.round(matrix)
        off_right_angles = np.abs(matrix.T @ matrix - np.eye(3)).max()
        if np.abs(matrix - whole).max() <= STEADY_AXES_WITHIN:
            matrix = whole
        elif off_right_angles > STEADY_AXES_WITHIN:
            left, _, right = np.linalg.svd(matrix)
            matrix = left @ right
        return replace(
            self,
            spacing_zyx=(spacing_z, spacing_y, spacing_x),
            direction=tuple(matrix.ravel().tolist()),
        )

    def to_patient(self, index_xyz: np.ndarray) -> np.ndarray:
        """Patient coordinates in mm of continuous indices (..., 3), in the order x, y, z."""
        origin_xyz = np.asarray(self.origin_xyz)
        # Points are rows, so the matrix stands transposed behind them.
        along_axes_mm = np.asarray(index_xyz, dtype=float) * self.spacing_xyz
        return along_axes_mm @ self.matrix.T + origin_xyz

    def to_index(self, patient_xyz: np.ndarray) -> np.ndarray:
        """Continuous indices (..., 3), in the order x, y, z, of patient coordinates in mm: undoes `to_patient`."""
        origin_xyz = np.asarray(self.origin_xyz)
        offset_mm = np.asarray(patient_xyz, dtype=float) - origin_xyz
        # The inverse of a rotation is its transpose.
        along_axes_mm = offset_mm @ self.matrix
        return along_axes_mm / self.spacing_xyz

    def corners(self) -> np.ndarray:
        """Patient coordinates (8, 3) in mm of the grid's corner voxels."""
        size_z, size_y, size_x = self.size_zyx
        corners_xyz = itertools.product(
            (0, size_x - 1),
            (0, size_y - 1),
            (0, size_z - 1),
        )
        return self.to_patient(np.array(list(corners_xyz)))

    def part(self, box_zyx: Box) -> Geometry:
        """The grid of the voxels in `box_zyx`, slices with a start and a stop within the grid."""
        z, y, x = box_zyx
        size_zyx = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
        first_xyz = np.array([x.start, y.start, z.start])
        origin_xyz = self.to_patient(first_xyz)
        return replace(
            self,
            size_zyx=size_zyx,
            origin_xyz=tuple(origin_xyz.tolist()),
        )

    def box_around(self, other: Geometry, margin_zyx: Sequence[int]) -> Box | None:
        """This grid's voxels that `other` covers, and a margin of voxels; None where they are apart."""
        corners_zyx = self.to_index(other.corners())[:, ::-1]  # (8, 3)
        lowest = corners_zyx.min(axis=0) + WHOLE_VOXEL
        highest = corners_zyx.max(axis=0) - WHOLE_VOXEL

        # Outwards to whole voxels, then the margin, then back into this grid.
        first = np.floor(lowest).astype(int)
        stop = np.ceil(highest).astype(int) + 1
        low = np.maximum(first - margin_zyx, 0)
        high = np.minimum(stop + margin_zyx, self.size_zyx)
        if (low >= high).any():
            return None
        low_z, low_y, low_x = low.tolist()
        high_z, high_y, high_x = high.tolist()
        return (
            slice(low_z, high_z),
            slice(low_y, high_y),
            slice(low_x, high_x),
        )

    def describes(self, other: Geometry, tolerance_mm: float = 1e-4) -> bool:
        """Whether `other` has the same size and its corners lie within `tolerance_mm` of this grid's."""
        if self.size_zyx != other.size_zyx:
            return False
        # No voxel lies farther apart than the farthest corners do.
        apart_mm = np.abs(self.corners() - other.corners())
        return bool(apart_mm.max() <= tolerance_mm)
