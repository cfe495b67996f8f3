"""Implicit shapes and smooth random fields on lattices in the head: everything that is rendered is built from these.

A shape is a signed distance in mm, negative inside. A lattice is an affine grid of points, so that a scanner's oblique
voxels, their sub-voxels and any window of them are the same thing. Coordinates are float32, and so are distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

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
    scaled = np.zeros_like(x)
    slope = np.zeros_like(x)
    for values, middle, radius in zip((x, y, z), centre, radii, strict=True):
        part = values - np.float32(middle)
        part *= np.float32(1 / radius)
        part *= part
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
    share = np.zeros_like(x)
    for part, step in zip(offsets, projection, strict=True):
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
    apart = np.abs(a - b)
    overlap = np.maximum(blend - apart, 0)

    # A quarter of the blend where both are equally near, and smooth where the overlap ends.
    filling = overlap * overlap * (np.float32(0.25) / blend)
    return np.minimum(a, b) - filling


def smooth_intersection(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Intersection of two shapes whose edge is rounded over `blend_mm`."""
    return -smooth_union(-a, -b, blend_mm)


def as_share(values: np.ndarray) -> np.ndarray:
    """`values`, limited to what a share may be: 0 to 1."""
    return np.clip(values, 0, 1)


def coverage(distance: np.ndarray, width_mm: float) -> np.ndarray:
    """Share of a voxel of `width_mm` that lies inside a surface at `distance`: 1 inside, 0 outside, linear between."""
    # At a distance of 0 the surface halves the voxel.
    inside_voxels = distance * np.float32(1 / width_mm)
    return as_share(np.float32(0.5) - inside_voxels)


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
