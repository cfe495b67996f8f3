"""Affine grids of points: a scanner's oblique voxels, their sub-voxels and any window of them are the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Window = tuple[slice, slice, slice]
EVERYWHERE: Window = (slice(None), slice(None), slice(None))
Point = tuple[float, float, float]
"""x, y, z in mm."""
PointLike = Point | np.ndarray


@dataclass(frozen=True)
class Lattice:
    """Points first + k steps[0] + j steps[1] + i steps[2] in mm, for (k, j, i) in a grid of size (Z, Y, X)."""

    size_zyx: tuple[int, int, int]
    first: np.ndarray
    """Point (3,) at index 0, x y z in mm."""
    steps: np.ndarray
    """Step vectors (3, 3) in mm: row 0 along Z, row 1 along Y, row 2 along X."""

    @property
    def spacing_zyx(self) -> np.ndarray:
        """Length of the steps in mm."""
        return np.linalg.norm(self.steps, axis=1)

    def points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates x, y, z in mm, each (Z, Y, X) float32."""
        nz, ny, nx = self.size_zyx
        k = np.arange(nz, dtype=np.float32)[:, None, None]
        j = np.arange(ny, dtype=np.float32)[None, :, None]
        i = np.arange(nx, dtype=np.float32)[None, None, :]
        first = self.first.astype(np.float32)
        steps_xyz = self.steps.T.astype(np.float32)

        coordinates = []
        for start, (step_k, step_j, step_i) in zip(first, steps_xyz, strict=True):
            # Two small terms and one sum over the whole grid, in place of two sums over it.
            along_z = start + k * step_k  # (Z, 1, 1)
            in_plane = j * step_j + i * step_i  # (1, Y, X)
            coordinates.append(along_z + in_plane)  # (Z, Y, X)

        x, y, z = coordinates
        return x, y, z

    def window(self, window: Window) -> Lattice:
        """The lattice of a window of this one."""
        along_z, along_y, along_x = window
        size_zyx = (
            along_z.stop - along_z.start,
            along_y.stop - along_y.start,
            along_x.stop - along_x.start,
        )
        start_zyx = np.array([along_z.start, along_y.start, along_x.start])
        offset = start_zyx @ self.steps
        return Lattice(size_zyx, self.first + offset, self.steps)

    def refined(self, factors_zyx: tuple[int, int, int]) -> Lattice:
        """The sub-voxel centres: each voxel split into `factors_zyx` equal parts."""
        factors = np.asarray(factors_zyx)
        sizes = np.asarray(self.size_zyx) * factors
        size_z, size_y, size_x = sizes.tolist()

        # The first of f sub-voxels has its middle half a sub-voxel after the voxel's edge, which lies at -1/2.
        offset = (0.5 / factors - 0.5) @ self.steps
        steps = self.steps / factors[:, None]
        return Lattice((size_z, size_y, size_x), self.first + offset, steps)

    def factors(self, width_mm: float, at_least: int = 1) -> tuple[int, int, int]:
        """Parts along (Z, Y, X) into which a voxel is split for sub-voxels of at most `width_mm`."""
        # Less a little, so that a voxel of exactly n widths is split into n parts whatever its rounding.
        widths = self.spacing_zyx / width_mm
        parts = np.ceil(widths - 1e-6).astype(int)
        along_z, along_y, along_x = np.maximum(parts, at_least).tolist()
        return along_z, along_y, along_x

    def near(self, centre: PointLike, radius_mm: float) -> Window | None:
        """Window of the voxels that touch the ball around `centre`, or None where the ball is off the lattice."""
        spacing = self.spacing_zyx

        # Steps are orthogonal, so that a projection onto each of them gives the index.
        to_index = self.steps / spacing[:, None] ** 2
        offset = np.asarray(centre) - self.first
        index = to_index @ offset
        # A voxel reaches half a step to each side of its centre.
        reach = radius_mm / spacing + 0.5

        first = np.ceil(index - reach)
        last = np.floor(index + reach)
        low = np.maximum(first, 0).astype(int)
        high = np.minimum(last + 1, self.size_zyx).astype(int)
        if (low >= high).any():
            return None

        low_z, low_y, low_x = low.tolist()
        high_z, high_y, high_x = high.tolist()
        return (
            slice(low_z, high_z),
            slice(low_y, high_y),
            slice(low_x, high_x),
        )


def mean_of_parts(fine: np.ndarray, factors_zyx: tuple[int, int, int]) -> np.ndarray:
    """Mean over each voxel's sub-voxels: (Z f, Y f, X f) -> (Z, Y, X) float32."""
    mean = fine
    for axis, factor in enumerate(factors_zyx):
        if factor == 1:
            continue

        # The first sub-voxels of all voxels, the second ones, and so on.
        before = (slice(None),) * axis
        parts = [mean[(*before, slice(start, None, factor))] for start in range(factor)]
        total = parts[0].astype(np.float32)
        for part in parts[1:]:
            total += part
        mean = total * np.float32(1 / factor)
    return mean.astype(np.float32, copy=False)


def xyz_of(zyx: Sequence[float]) -> np.ndarray:
    """A size, spacing or index (z, y, x) in the order x, y, z, as an array (3,)."""
    return np.array(zyx[::-1])
