"""Implicit shapes and smooth random fields on lattices in the head: everything that is drawn is built from these.

A shape is a signed distance in mm, negative inside. A lattice is an affine grid of points, so that a scanner's oblique
voxels, their sub-voxels and any window of them are the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

Window = tuple[slice, slice, slice]
EVERYWHERE: Window = (slice(None), slice(None), slice(None))


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
        steps = self.steps.astype(np.float32)
        first = self.first.astype(np.float32)
        return tuple((first[a] + k * steps[0, a]) + (j * steps[1, a] + i * steps[2, a]) for a in range(3))

    def window(self, window: Window) -> Lattice:
        """The lattice of a window of this one."""
        starts = [w.start for w in window]
        size = tuple(w.stop - w.start for w in window)
        return Lattice(size, self.first + np.asarray(starts) @ self.steps, self.steps)

    def refined(self, factors_zyx: tuple[int, int, int]) -> Lattice:
        """The sub-voxel centres: each voxel split into `factors_zyx` equal parts."""
        factors = np.asarray(factors_zyx)
        size = tuple(int(n * f) for n, f in zip(self.size_zyx, factors, strict=True))
        offset = (0.5 / factors - 0.5) @ self.steps
        return Lattice(size, self.first + offset, self.steps / factors[:, None])

    def near(self, centre: np.ndarray, radius_mm: float) -> Window | None:
        """Window of the voxels that touch the ball around `centre`, or None where the ball is off the lattice."""
        spacing = self.spacing_zyx
        index = (self.steps / spacing[:, None] ** 2) @ (np.asarray(centre) - self.first)
        reach = radius_mm / spacing + 0.5
        low = np.maximum(np.ceil(index - reach), 0).astype(int)
        high = np.minimum(np.floor(index + reach) + 1, self.size_zyx).astype(int)
        if (low >= high).any():
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


@dataclass(frozen=True)
class Waves:
    """A smooth random field of mean 0 and variance 1: a sum of plane waves with random directions and phases."""

    vectors: np.ndarray
    """Wave vectors (N, 3) in radians per mm."""
    phases: np.ndarray

    @staticmethod
    def sample(rng: np.random.Generator, wavelength_mm: tuple[float, float], count: int = 24) -> Waves:
        """Waves with lengths log-uniform in `wavelength_mm`."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = np.exp(rng.uniform(np.log(wavelength_mm[0]), np.log(wavelength_mm[1]), count))
        return Waves(directions * (2 * np.pi / lengths)[:, None], rng.uniform(0, 2 * np.pi, count))

    def on(self, lattice: Lattice) -> np.ndarray:
        """The field on a lattice, (Z, Y, X) float32. A plane wave is separable there, so this is one matrix product."""
        nz, ny, nx = lattice.size_zyx
        along = self.vectors @ lattice.steps.T
        start = self.vectors @ lattice.first + self.phases
        plane = (
            start[None, None, :]
            + np.arange(nz)[:, None, None] * along[None, None, :, 0]
            + np.arange(ny)[None, :, None] * along[None, None, :, 1]
        )
        plane = plane.reshape(nz * ny, -1).astype(np.float32)
        line = (np.arange(nx)[None, :] * along[:, 2:3]).astype(np.float32)
        scale = np.float32(np.sqrt(2 / len(self.phases)))
        left = np.concatenate([np.cos(plane), -np.sin(plane)], axis=1)
        right = np.concatenate([np.cos(line), np.sin(line)], axis=0) * scale
        return (left @ right).reshape(nz, ny, nx)

    def at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The field at any points, in their shape."""
        total = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z)), dtype=np.float32)
        for vector, phase in zip(self.vectors.astype(np.float32), self.phases.astype(np.float32), strict=True):
            total += np.cos(x * vector[0] + y * vector[1] + z * vector[2] + phase)
        return total * np.float32(np.sqrt(2 / len(self.phases)))


def ellipsoid(x, y, z, centre, radii) -> np.ndarray:
    """Signed distance to an ellipsoid, exact on the surface and to first order beside it."""
    scaled = slope = None
    for values, middle, radius in zip((x, y, z), centre, radii, strict=True):
        part = values - np.float32(middle)
        part *= np.float32(1 / radius)
        part *= part
        scaled = part.copy() if scaled is None else np.add(scaled, part, out=scaled)
        part *= np.float32(1 / radius**2)
        slope = part if slope is None else np.add(slope, part, out=slope)
    np.sqrt(scaled, out=scaled)
    np.sqrt(slope, out=slope)
    slope += np.float32(1e-6)
    np.divide(scaled, slope, out=slope)
    scaled -= 1
    slope *= scaled
    return slope


def capsule(x, y, z, start, end, radius, end_radius=None) -> np.ndarray:
    """Signed distance to a rounded rod from `start` to `end`, tapering to `end_radius`."""
    start = np.asarray(start, dtype=np.float32)
    axis = np.asarray(end, dtype=np.float32) - start
    offset = [values - first for values, first in zip((x, y, z), start, strict=True)]
    along = offset[0] * (axis[0] / (axis @ axis))
    for part, step in zip(offset[1:], axis[1:], strict=True):
        along += part * (step / (axis @ axis))
    np.clip(along, 0, 1, out=along)
    distance = np.zeros_like(along)
    for part, step in zip(offset, axis, strict=True):
        part -= along * step
        part *= part
        distance += part
    np.sqrt(distance, out=distance)
    distance -= np.float32(radius)
    if end_radius is not None:
        along *= np.float32(end_radius - radius)
        distance -= along
    return distance


def both(*distances: np.ndarray) -> np.ndarray:
    """Intersection of shapes: the largest distance."""
    return reduce(np.maximum, distances)


def either(*distances: np.ndarray) -> np.ndarray:
    """Union of shapes: the smallest distance."""
    return reduce(np.minimum, distances)


def polyline(x, y, z, points, radius) -> np.ndarray:
    """Signed distance to a tube of constant radius through `points`."""
    return either(*(capsule(x, y, z, a, b, radius) for a, b in pairwise(points)))


def smooth_union(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union of two shapes whose crease is filled over `blend_mm`."""
    blend = np.float32(blend_mm)
    overlap = np.maximum(blend - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap * (np.float32(0.25) / blend)


def smooth_intersection(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Intersection of two shapes whose edge is rounded over `blend_mm`."""
    return -smooth_union(-a, -b, blend_mm)


def coverage(distance: np.ndarray, width_mm: float) -> np.ndarray:
    """Share of a voxel of `width_mm` that lies inside a surface at `distance`: 1 inside, 0 outside, linear between."""
    return np.clip(np.float32(0.5) - distance * np.float32(1 / width_mm), 0, 1)


def rotation(angles_deg: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) about x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.deg2rad(angles_deg)), np.cos(np.deg2rad(angles_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
