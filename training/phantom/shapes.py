"""Implicit shapes and smooth random fields: everything that is rendered is built from these.

A shape is a signed distance in mm, negative inside. Coordinates are float32, and so are distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

from training.phantom.lattice import Lattice, Point, PointLike


@dataclass(frozen=True)
class Waves:
    """A smooth random field of mean 0 and variance 1: a sum of plane waves with random directions and phases."""

    vectors: np.ndarray
    """Wave vectors (N, 3) in radians per mm."""
    phases: np.ndarray
    """Phases (N,) in radians."""

    @staticmethod
    def sample(rng: np.random.Generator, wavelength_mm: tuple[float, float], count: int = 24) -> Waves:
        """`count` waves with lengths log-uniform in `wavelength_mm`."""
        # Normalised Gaussian vectors are uniform on the sphere.
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)

        shortest, longest = np.log(wavelength_mm)
        logarithms = rng.uniform(shortest, longest, count)
        lengths_mm = np.exp(logarithms)
        numbers = 2 * np.pi / lengths_mm
        vectors = directions * numbers[:, None]
        phases = rng.uniform(0, 2 * np.pi, count)
        return Waves(vectors, phases)

    @property
    def amplitude(self) -> np.float32:
        """Amplitude of each wave: N cosines of this amplitude have variance 1 together."""
        return np.float32(np.sqrt(2 / len(self.phases)))

    def on(self, lattice: Lattice) -> np.ndarray:
        """The field on a lattice, (Z, Y, X) float32.

        On a lattice a plane wave is separable: cos(a + b) = cos a cos b - sin a sin b, with a from the place in (Z, Y)
        and b from that in X. So the sum over waves is one matrix product.
        """
        nz, ny, nx = lattice.size_zyx
        phase_steps = self.vectors @ lattice.steps.T  # (N, zyx): radians from one voxel to the next
        start = self.vectors @ lattice.first + self.phases  # (N,)

        step_z, step_y, step_x = phase_steps.T  # (N,) each
        along_z = np.arange(nz)[:, None, None] * step_z  # (Z, 1, N)
        along_y = np.arange(ny)[None, :, None] * step_y  # (1, Y, N)
        phase_zy = start + along_z + along_y  # (Z, Y, N)
        phase_zy = phase_zy.reshape(nz * ny, -1)  # (Z Y, N)
        phase_x = np.arange(nx) * step_x[:, None]  # (N, X)

        # Phases in double precision, cosines in single.
        phase_zy = phase_zy.astype(np.float32)
        phase_x = phase_x.astype(np.float32)
        left = np.concatenate([np.cos(phase_zy), -np.sin(phase_zy)], axis=1)  # (Z Y, 2 N)
        right = np.concatenate([np.cos(phase_x), np.sin(phase_x)], axis=0)  # (2 N, X)
        summed = left @ (right * self.amplitude)  # (Z Y, X)
        return summed.reshape(nz, ny, nx)

    def at(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The field at any points, in their shape, float32."""
        shape = np.broadcast(x, y, z).shape
        vectors = self.vectors.astype(np.float32)
        phases = self.phases.astype(np.float32)

        # Wave by wave, so that memory does not grow with their number.
        total = np.zeros(shape, dtype=np.float32)
        for vector, phase in zip(vectors, phases, strict=True):
            total += np.cos(along(vector, x, y, z) + phase)
        return total * self.amplitude


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid along the axes."""

    centre: Point
    radii: Point
    """Along x, y, z in mm."""

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance in mm, see `ellipsoid`."""
        return ellipsoid(x, y, z, self.centre, self.radii)


@dataclass(frozen=True)
class Capsule:
    """A rounded rod."""

    start: Point
    end: Point
    radius_mm: float
    end_radius_mm: float | None = None
    """Radius at the end where the rod tapers."""

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance in mm, see `capsule`."""
        return capsule(x, y, z, self.start, self.end, self.radius_mm, self.end_radius_mm)


@dataclass(frozen=True)
class Polyline:
    """A tube of constant radius through points."""

    points: tuple[Point, ...]
    radius_mm: float

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance in mm to the nearest of the tube's rods."""
        rods = [capsule(x, y, z, start, end, self.radius_mm) for start, end in pairwise(self.points)]
        return either(*rods)


Shape = Ellipsoid | Capsule | Polyline


def ellipsoid(x: np.ndarray, y: np.ndarray, z: np.ndarray, centre: PointLike, radii: PointLike) -> np.ndarray:
    """Signed distance to an ellipsoid, exact on the surface and to first order beside it.

    With s = |p / r| and its slope g = |p / r^2| (p from the centre, r the radii, by axis) it is s (s - 1) / g.

    Args:
        x: First coordinates of the points, mm.
        y: Second coordinates, mm.
        z: Third coordinates, mm.
        centre: Middle of the ellipsoid (3,), mm.
        radii: Its radii along the axes (3,), mm.

    Returns:
        Distances in mm, in the points' shape.
    """
    # In place: this is called for every part of the head, and a temporary of a slab costs as much as the arithmetic.
    centre_x, centre_y, centre_z = centre
    radius_x, radius_y, radius_z = radii
    scaled = _scaled_square(x, centre_x, radius_x)
    slope = scaled * np.float32(1 / radius_x**2)
    for values, middle, radius in ((y, centre_y, radius_y), (z, centre_z, radius_z)):
        part = _scaled_square(values, middle, radius)
        scaled += part
        part *= np.float32(1 / radius**2)
        slope += part

    np.sqrt(scaled, out=scaled)
    np.sqrt(slope, out=slope)

    # The centre has no slope.
    slope += np.float32(1e-6)
    distance = np.divide(scaled, slope, out=slope)
    scaled -= 1
    distance *= scaled
    return distance


def _scaled_square(values: np.ndarray, middle: float, radius: float) -> np.ndarray:
    """((v - middle) / radius)^2, with one temporary."""
    part = values - np.float32(middle)
    part *= np.float32(1 / radius)
    part *= part
    return part


def capsule(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    start: PointLike,
    end: PointLike,
    radius: float,
    end_radius: float | None = None,
) -> np.ndarray:
    """Signed distance to a rounded rod from `start` to `end`, tapering to `end_radius`.

    Args:
        x: First coordinates of the points, mm.
        y: Second coordinates, mm.
        z: Third coordinates, mm.
        start: One end of the rod's axis (3,), mm.
        end: The other end (3,), mm.
        radius: Radius at `start`, mm.
        end_radius: Radius at `end`, mm; by default the same.

    Returns:
        Distances in mm, in the points' shape.
    """
    start = np.asarray(start, dtype=np.float32)
    end = np.asarray(end, dtype=np.float32)
    axis = end - start
    start_x, start_y, start_z = start
    offsets = [x - start_x, y - start_y, z - start_z]

    # Where on the axis each point is nearest to it: 0 at the start, 1 at the end.
    projection = axis / (axis @ axis)
    share = offsets[0] * projection[0]
    for part, step in zip(offsets[1:], projection[1:], strict=True):
        share += part * step
    np.clip(share, 0, 1, out=share)

    # From there to the point.
    distance = np.zeros_like(x)
    for part, step in zip(offsets, axis, strict=True):
        part -= share * step
        part *= part
        distance += part
    np.sqrt(distance, out=distance)

    # Less the rod's own radius there.
    distance -= np.float32(radius)
    if end_radius is not None:
        share *= np.float32(end_radius - radius)
        distance -= share
    return distance


def both(*distances: np.ndarray) -> np.ndarray:
    """Intersection of shapes: the largest distance."""
    return reduce(np.maximum, distances)


def either(*distances: np.ndarray) -> np.ndarray:
    """Union of shapes: the smallest distance."""
    return reduce(np.minimum, distances)


def smooth_union(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union of two shapes whose crease is filled over `blend_mm`."""
    blend = np.float32(blend_mm)
    overlap = np.maximum(blend - np.abs(a - b), 0)

    # A quarter of the blend where both are equally near, and smooth where the overlap ends.
    filling = overlap
    filling *= overlap
    filling *= np.float32(0.25) / blend
    distance = np.minimum(a, b)
    distance -= filling
    return distance


def smooth_intersection(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Intersection of two shapes whose edge is rounded over `blend_mm`."""
    return -smooth_union(-a, -b, blend_mm)


def as_share(values: np.ndarray) -> np.ndarray:
    """`values`, limited to what a share may be: 0 to 1."""
    return np.clip(values, 0, 1)


def coverage(distance: np.ndarray, width_mm: float) -> np.ndarray:
    """Share of a voxel of `width_mm` that lies inside a surface at `distance`: 1 inside, 0 outside, linear between."""
    # At a distance of 0 the surface halves the voxel.
    share = distance * np.float32(-1 / width_mm)
    share += np.float32(0.5)
    return np.clip(share, 0, 1, out=share)


def along(direction: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How far points lie along a unit vector (3,), mm: the scalar product."""
    direction_x, direction_y, direction_z = direction
    return x * direction_x + y * direction_y + z * direction_z


def unit(vector: np.ndarray) -> np.ndarray:
    """`vector` with length 1."""
    return vector / np.linalg.norm(vector)


def rotation(angles_deg: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) about x, then y, then z."""
    angles = np.deg2rad(angles_deg)
    sin_x, sin_y, sin_z = np.sin(angles)
    cos_x, cos_y, cos_z = np.cos(angles)

    about_x = np.array(
        [
            [1, 0, 0],
            [0, cos_x, -sin_x],
            [0, sin_x, cos_x],
        ]
    )
    about_y = np.array(
        [
            [cos_y, 0, sin_y],
            [0, 1, 0],
            [-sin_y, 0, cos_y],
        ]
    )
    about_z = np.array(
        [
            [cos_z, -sin_z, 0],
            [sin_z, cos_z, 0],
            [0, 0, 1],
        ]
    )
    return about_z @ about_y @ about_x
