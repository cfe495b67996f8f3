"""The shape of a schwannoma: a rod in the internal auditory canal and a ball in the cerebellopontine angle.

It lives in a canal frame (origin at the porus, `a` lateral along the canal, `b` posterior, `c` up), so that the same
tumour can be put into a synthetic head and into a real one whose canal was marked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.phantom.lattice import Lattice
from training.phantom.shapes import (
    Waves,
    along,
    as_share,
    capsule,
    coverage,
    ellipsoid,
    smooth_intersection,
    smooth_union,
)

LOOSE_SHARE = {"solid": (0.10, 0.08), "heterogeneous": (0.40, 0.45), "cystic": (0.40, 0.45)}
"""Share of loose (Antoni B) tissue: mean, and how much of the texture is added to it."""
USUAL_FACE_NORMAL = np.array([-0.67, 0.74, 0.0])
"""Of the petrous bone's posterior face in a canal's frame (a, b, c), where nobody measured it."""
TAPER = 0.85
"""Radius of the rod at the fundus relative to that at the porus. Its rounded end reaches as far beyond the axis."""
BONE_BLEND = 0.3
"""Over how many ball radii the ball is rounded where it meets the bone."""
ROD_BLEND_MM = 2.0
"""Over how many mm the crease between rod and ball is filled."""
MEASURE_STEPS, EXTENT_STEPS = 24, 20
"""Grid steps in the cube root of a volume, to measure it and to measure lengths."""
EXTENT_ANGLES = 18
"""Directions in the axial plane in which a diameter is looked for."""


@dataclass(frozen=True)
class CanalFrame:
    """Where a canal lies: its porus in mm, its direction to the fundus, and which side of the porus is bone."""

    porus: np.ndarray
    """Point (3,) in the middle of the opening."""
    axes: np.ndarray
    """Rows: unit vectors a (lateral, along the canal), b (posterior), c (up)."""
    face_normal: np.ndarray = field(default_factory=USUAL_FACE_NORMAL.copy)
    """Unit normal of the petrous bone's posterior face in (a, b, c), pointing into the posterior fossa."""

    def local(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates a, b, c in mm of points given in the frame's own space."""
        porus_x, porus_y, porus_z = np.asarray(self.porus, dtype=np.float32)
        offset_x = x - porus_x
        offset_y = y - porus_y
        offset_z = z - porus_z

        # One coordinate after the other, each by its axis.
        local = []
        for axis in self.axes.astype(np.float32):
            local.append(along(axis, offset_x, offset_y, offset_z))
        a, b, c = local
        return a, b, c

    def point(self, local: np.ndarray) -> np.ndarray:
        """Point in mm of local coordinates (3,)."""
        from_porus = np.asarray(local) @ self.axes
        return np.asarray(self.porus) + from_porus


@dataclass(frozen=True)
class Tumour:
    """One schwannoma's shape and make-up, all lengths in mm in the canal frame."""

    volume_mm3: float
    """Volume of the shape, measured."""
    tumour_class: str
    """One of `CLASSES`."""
    canal_depth: float
    """How far it reaches from the porus towards the fundus."""
    canal_start: float
    """Where its part in the canal begins: 0 at the porus, more where it lies deep in the canal only."""
    canal_radius: float
    ball_radius: float
    """Mean radius of the part in the angle; 0 where there is none."""
    ball_shape: tuple[float, float, float]
    """Relative radii of the ball along the canal, along the bone's face and vertically."""
    ball_offset: tuple[float, float, float]
    """Centre of the ball from the porus, in ball radii."""
    lobes: Waves
    """Surface relief, in ball radii."""
    relief: float
    texture: Waves
    """Mix of dense and loose tissue."""
    gadolinium_mmol_l: float
    cysts: tuple[tuple[float, float, float, float], ...] = ()
    """Centres and radii in ball radii from the ball's centre."""

    @property
    def ball_centre(self) -> np.ndarray:
        """Centre (3,) of the part in the angle, or of the rod where there is none."""
        if self.ball_radius == 0:
            middle = 0.5 * (self.canal_start + self.canal_depth)
            return np.array([middle, 0.0, 0.0])
        offset = np.asarray(self.ball_offset)
        return offset * self.ball_radius

    @property
    def reach(self) -> float:
        """Radius in mm of a ball around the porus that holds the tumour."""
        to_centre = float(np.linalg.norm(self.ball_offset))
        # A quarter more than the ball's longest radius, for the crease to the rod.
        from_centre = 1.25 * np.max(self.ball_shape)
        reach_in_radii = to_centre + from_centre + self.relief
        ball = self.ball_radius * reach_in_radii
        longer = max(ball, self.canal_depth)
        return float(longer + self.canal_radius + 1.0)

    def distance(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, face_normal: np.ndarray) -> np.ndarray:
        """Signed distance at local points; negative inside the tumour.

        Args:
            a: Coordinates of the points along the canal, mm.
            b: To the back, mm.
            c: Up, mm.
            face_normal: Unit normal (3,) of the petrous bone's face, into the posterior fossa.

        Returns:
            Distances in mm, in the points' shape.
        """
        start = (self.canal_start, 0, 0)
        end = (self.canal_depth, 0, 0)
        end_radius = TAPER * self.canal_radius
        rod = capsule(a, b, c, start, end, self.canal_radius, end_radius)
        if self.ball_radius == 0:
            return rod

        # The ball, its surface moved in and out by a few per cent of its radius.
        radius = np.float32(self.ball_radius)
        radii = radius * np.asarray(self.ball_shape, dtype=np.float32)
        ball = ellipsoid(a, b, c, self.ball_centre, radii)

        relief_mm = radius * np.float32(self.relief)
        lobes = self.lobes.at(a / radius, b / radius, c / radius)
        ball = ball + relief_mm * lobes

        # The bone stops the ball, which is flattened against it; the rod goes on into the canal.
        out_of_bone = along(face_normal.astype(np.float32), a, b, c)
        into_bone = -out_of_bone
        blend_mm = BONE_BLEND * self.ball_radius
        ball = smooth_intersection(ball, into_bone, blend_mm)
        return smooth_union(rod, ball, ROD_BLEND_MM)

    def cyst_distance(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Signed distance in mm to the cysts (large where there are none)."""
        distance = np.full(np.shape(a), 1e3, dtype=np.float32)
        for *offset, relative_radius in self.cysts:
            from_centre = np.asarray(offset) * self.ball_radius
            centre = self.ball_centre + from_centre
            radius = relative_radius * self.ball_radius
            radii = np.full(3, radius, dtype=np.float32)
            sphere = ellipsoid(a, b, c, centre, radii)
            distance = np.minimum(distance, sphere)
        return distance

    def loose_share(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Share of loose (Antoni B) tissue at local points, 0 to 1; a faint mottle in a solid tumour."""
        mean, amplitude = LOOSE_SHARE[self.tumour_class]
        texture = self.texture.at(a, b, c)
        return as_share(mean + amplitude * texture)


def measure_volume(tumour: Tumour, face_normal: np.ndarray, steps: int = MEASURE_STEPS) -> float:
    """Measure the volume of the shape, with partial occupancy of voxels.

    Args:
        tumour: The tumour.
        face_normal: Unit normal (3,) of the petrous bone's face in the canal's frame.
        steps: Voxels in the cube root of its nominal volume.

    Returns:
        Volume in mm3.
    """
    grid = _grid_around(tumour, steps)
    spacing_mm = _grid_spacing_mm(tumour, steps)
    a, b, c = grid.points()
    distance = tumour.distance(a, b, c, face_normal)

    # A voxel at the surface counts by the share that lies inside.
    occupied = coverage(distance, spacing_mm).sum()
    return float(occupied * spacing_mm**3)


def measure_extent(tumour: Tumour, face_normal: np.ndarray) -> tuple[float, float]:
    """Length in mm inside the canal, and the largest axial diameter in mm in the angle (0 where there is none)."""
    points = _grid_around(tumour, EXTENT_STEPS).points()
    distance = tumour.distance(*points, face_normal)
    inside = distance < 0
    a, b, c = (values[inside] for values in points)  # (N,)

    outside_bone = along(face_normal, a, b, c) > 0

    in_canal_mm = 0.0
    canal = a[~outside_bone]
    if canal.size:
        # The rod's rounded end before the porus is not in the canal.
        start = max(canal.min(), 0.0)
        length = canal.max() - start
        in_canal_mm = float(max(length, 0.0))

    # Rounded ends of a rod alone are no part in the angle.
    if tumour.ball_radius == 0 or not outside_bone.any():
        return in_canal_mm, 0.0

    # The widest of the axial shadows in all directions.
    angles = np.linspace(0, np.pi, EXTENT_ANGLES, endpoint=False)
    cosines = np.cos(angles)[:, None]
    sines = np.sin(angles)[:, None]
    ball_a = a[outside_bone]
    ball_b = b[outside_bone]
    shadows = cosines * ball_a + sines * ball_b  # (angles, N)
    diameters_mm = np.ptp(shadows, axis=1)
    return in_canal_mm, float(diameters_mm.max())


def _grid_spacing_mm(tumour: Tumour, steps: int) -> float:
    """Spacing of a grid with `steps` voxels in the cube root of a tumour's nominal volume."""
    return tumour.volume_mm3 ** (1 / 3) / steps


def _grid_around(tumour: Tumour, steps: int) -> Lattice:
    """A grid over the whole tumour in its canal's frame."""
    spacing_mm = _grid_spacing_mm(tumour, steps)
    low, high = _box(tumour)
    extents_mm = high - low
    sizes = np.ceil(extents_mm / spacing_mm)
    size_a, size_b, size_c = sizes.astype(int).tolist()

    first = low + 0.5 * spacing_mm
    steps_zyx = spacing_mm * np.eye(3)[::-1]
    return Lattice((size_c, size_b, size_a), first, steps_zyx)


def _box(tumour: Tumour) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest point (3,) of a box in the canal's frame that holds the tumour."""
    margin = tumour.canal_radius + 1.0
    nearest = tumour.canal_start - margin
    deepest = tumour.canal_depth + margin
    low = np.array([nearest, -margin, -margin])
    high = np.array([deepest, margin, margin])

    if tumour.ball_radius > 0:
        # A relief is a sum of waves and hardly ever above three standard deviations.
        relative_radii = np.asarray(tumour.ball_shape) + 3 * tumour.relief
        reach = tumour.ball_radius * relative_radii + 1.0
        centre = tumour.ball_centre
        low = np.minimum(low, centre - reach)
        high = np.maximum(high, centre + reach)
    return low, high
