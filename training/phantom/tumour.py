"""The schwannoma: a rod in the internal auditory canal and a ball in the cerebellopontine angle, of a wanted volume.

It lives in a canal frame (origin at the porus, `a` lateral along the canal, `b` posterior, `c` up), so that the same
tumour can be put into a synthetic head and into a real one whose canal was marked.

Published figures it rests on: volumes of the challenge's labels, 44 to 9801 mm3. 62 % of 89 tumours enhance
homogeneously, small ones nearly all, larger ones less (MRI of acoustic schwannoma: a retrospective study of 89 tumours,
Rofo 1993). 11.3 % are cystic, two thirds of them with a single cyst, all with an enhancing wall (Tali et al., Cystic
acoustic schwannomas: MR characteristics, AJNR 1993). Gadolinium about halves their T1 (text of a neuroradiology course,
University of California San Diego). How the classes change with size is a choice that gives those means.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from training.phantom.shapes import (
    Lattice,
    Waves,
    as_share,
    capsule,
    coverage,
    ellipsoid,
    smooth_intersection,
    smooth_union,
    unit,
)

VOLUME_RANGE_MM3 = (44.0, 9800.0)
GADOLINIUM_MMOL_L = (0.17, 0.40)
"""Range of the concentration in solid tumour: from a halved T1 to some two thirds of the usual plasma level."""
CLASSES = ("solid", "heterogeneous", "cystic")
CLASS_SHARES = {500.0: (0.90, 0.09, 0.01), 2000.0: (0.55, 0.34, 0.11), np.inf: (0.27, 0.47, 0.26)}
"""Shares of `CLASSES` by volume: the first row whose limit in mm3 is not exceeded. Over log-uniform volumes this gives
the published 62 % solid and 11 % cystic."""
SINGLE_CYST_SHARE = 0.69
"""Share of cystic tumours with one cyst, near the published two thirds."""
TEXTURE_MM = {"solid": (2.5, 7.0), "heterogeneous": (4.0, 18.0), "cystic": (4.0, 18.0)}
"""Range of wavelengths of the mix of dense and loose tissue."""
LOOSE_SHARE = {"solid": (0.10, 0.08), "heterogeneous": (0.40, 0.45), "cystic": (0.40, 0.45)}
"""Share of loose (Antoni B) tissue: mean, and how much of the texture is added to it."""

USUAL_FACE_NORMAL = np.array([-0.67, 0.74, 0.0])
"""Of the petrous bone's posterior face in a canal's frame (a, b, c), where nobody measured it."""
LARGEST_WIDENING = 0.35
"""By how much of its radius a tumour widens its canal at most."""
WIDENING_MM3 = 4000.0
"""Volume from which on it does."""
TAPER = 0.85
"""Radius of the rod at the fundus relative to that at the porus. Its rounded end reaches as far beyond the axis."""
BALL_SHAPE = ((0.85, 0.95, 0.85), (1.05, 1.25, 1.15))
"""Range of the ball's relative radii: it is longest along the bone."""
BALL_OFFSET = ((-0.85, -0.1, -0.2), (-0.45, 0.35, 0.2))
"""Range of the ball's centre from the porus, in ball radii: out of the canal and a little to the back."""
RELIEF = (0.01, 0.05)
"""Range of the surface relief, in ball radii."""
BONE_BLEND = 0.3
"""Over how many ball radii the ball is rounded where it meets the bone."""
ROD_BLEND_MM = 2.0
"""Over how many mm the crease between rod and ball is filled."""

VOLUME_TOLERANCE = 0.005
"""How near to the wanted volume a shape must come."""
MOST_STEPS = 12
"""Steps of the search for it."""
ROD_ALONE = 0.9
"""A rod that holds this share of the wanted volume needs no ball."""
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

        local = []
        for axis_x, axis_y, axis_z in self.axes.astype(np.float32):
            local.append(offset_x * axis_x + offset_y * axis_y + offset_z * axis_z)
        a, b, c = local
        return a, b, c

    def point(self, local: np.ndarray) -> np.ndarray:
        """Point in mm of local coordinates (3,)."""
        return np.asarray(self.porus) + np.asarray(local) @ self.axes


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
        return np.asarray(self.ball_offset) * self.ball_radius

    @property
    def reach(self) -> float:
        """Radius in mm of a ball around the porus that holds the tumour."""
        to_centre = float(np.linalg.norm(self.ball_offset))
        # A quarter more than the ball's longest radius, for the crease to the rod.
        from_centre = 1.25 * np.max(self.ball_shape)
        ball = self.ball_radius * (to_centre + from_centre + self.relief)
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
        rod = capsule(a, b, c, start, end, self.canal_radius, TAPER * self.canal_radius)
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
        normal_a, normal_b, normal_c = face_normal.astype(np.float32)
        into_bone = -(a * normal_a + b * normal_b + c * normal_c)
        blend_mm = BONE_BLEND * self.ball_radius
        ball = smooth_intersection(ball, into_bone, blend_mm)
        return smooth_union(rod, ball, ROD_BLEND_MM)

    def cyst_distance(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Signed distance in mm to the cysts (large where there are none)."""
        distance = np.full(np.shape(a), 1e3, dtype=np.float32)
        for *offset, relative_radius in self.cysts:
            centre = self.ball_centre + np.asarray(offset) * self.ball_radius
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


def sample_volume(rng: np.random.Generator, limits_mm3: tuple[float, float] = VOLUME_RANGE_MM3) -> float:
    """A volume in mm3, log-uniform in `limits_mm3`."""
    low, high = np.log(limits_mm3)
    logarithm = rng.uniform(low, high)
    return float(np.exp(logarithm))


def sample_tumour(
    rng: np.random.Generator,
    volume_mm3: float,
    canal_length_mm: float = 11.0,
    canal_radius_mm: float = 2.3,
    face_normal: np.ndarray | None = None,
) -> Tumour:
    """Sample a tumour of a wanted volume (met within 2 %) for a canal of the given size.

    A tumour that the canal can hold lies in it; a larger one fills part of the canal, widens it by up to a third, and
    grows as a ball in the angle until its volume is met.

    Args:
        rng: Random numbers.
        volume_mm3: The volume.
        canal_length_mm: From porus to fundus.
        canal_radius_mm: Of the canal without a tumour.
        face_normal: Unit normal (3,) of the petrous bone's face in the canal's frame; by default a usual one.

    Returns:
        The tumour.
    """
    normal = USUAL_FACE_NORMAL if face_normal is None else np.asarray(face_normal)
    tumour_class = _sample_class(rng, volume_mm3)

    # The larger a tumour is, the more it widens its canal.
    by_volume = LARGEST_WIDENING * volume_mm3 / WIDENING_MM3
    widening = min(LARGEST_WIDENING, by_volume) * rng.uniform(0.5, 1.0)
    canal_radius = canal_radius_mm * 0.97 * (1 + widening)

    # Most tumours fill their canal; some leave up to 70 % of it free.
    free_share = 0.7 * rng.uniform(0.02, 1.0) ** 2
    tip = canal_length_mm * (1 - free_share)
    canal_depth = tip - canal_radius_mm * TAPER

    shape_a, shape_b, shape_c = rng.uniform(*BALL_SHAPE).tolist()
    offset_a, offset_b, offset_c = rng.uniform(*BALL_OFFSET).tolist()
    lobes = Waves.sample(rng, (0.9, 2.2), count=8)
    relief = float(rng.uniform(*RELIEF))
    texture = Waves.sample(rng, TEXTURE_MM[tumour_class], count=24)
    gadolinium_mmol_l = float(rng.uniform(*GADOLINIUM_MMOL_L))
    cysts = _sample_cysts(rng) if tumour_class == "cystic" else ()

    draft = Tumour(
        volume_mm3=volume_mm3,
        tumour_class=tumour_class,
        canal_depth=canal_depth,
        canal_start=0.0,
        canal_radius=canal_radius,
        ball_radius=1.0,
        ball_shape=(shape_a, shape_b, shape_c),
        ball_offset=(offset_a, offset_b, offset_c),
        lobes=lobes,
        relief=relief,
        texture=texture,
        gadolinium_mmol_l=gadolinium_mmol_l,
        cysts=cysts,
    )

    # The canal alone holds a small tumour; a larger one grows out of it.
    rod = replace(draft, ball_radius=0.0)
    rod_mm3 = measure_volume(rod, normal)
    if rod_mm3 >= ROD_ALONE * volume_mm3:
        return _shrink_rod(rod, volume_mm3, canal_length_mm, rng, normal)
    return _grow_ball(draft, volume_mm3, rod_mm3, normal)


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
    occupied = coverage(distance, spacing_mm).sum()
    return float(occupied * spacing_mm**3)


def measure_extent(tumour: Tumour, face_normal: np.ndarray) -> tuple[float, float]:
    """Length in mm inside the canal, and the largest axial diameter in mm in the angle (0 where there is none)."""
    points = _grid_around(tumour, EXTENT_STEPS).points()
    distance = tumour.distance(*points, face_normal)
    inside = distance < 0
    a, b, c = (values[inside] for values in points)  # (N,)

    normal_a, normal_b, normal_c = face_normal
    outside_bone = a * normal_a + b * normal_b + c * normal_c > 0

    in_canal_mm = 0.0
    canal = a[~outside_bone]
    if canal.size:
        # The rod's rounded end before the porus is not in the canal.
        start = max(canal.min(), 0.0)
        in_canal_mm = float(max(canal.max() - start, 0.0))

    # Rounded ends of a rod alone are no part in the angle.
    if tumour.ball_radius == 0 or not outside_bone.any():
        return in_canal_mm, 0.0

    # The widest of the axial shadows in all directions.
    angles = np.linspace(0, np.pi, EXTENT_ANGLES, endpoint=False)
    cosines = np.cos(angles)[:, None]
    sines = np.sin(angles)[:, None]
    ball_a = a[outside_bone]
    ball_b = b[outside_bone]
    along = cosines * ball_a + sines * ball_b  # (angles, N)
    diameters_mm = np.ptp(along, axis=1)
    return in_canal_mm, float(diameters_mm.max())


def _grow_ball(draft: Tumour, volume_mm3: float, rod_mm3: float, normal: np.ndarray) -> Tumour:
    """`draft` with the ball that gives it the wanted volume.

    Args:
        draft: A tumour whose ball may have any size.
        volume_mm3: The wanted volume.
        rod_mm3: Volume of its rod alone.
        normal: Unit normal (3,) of the petrous bone's face.
    """
    ball_mm3 = volume_mm3 - rod_mm3
    # Of a whole ball of that volume.
    radius = (3 * ball_mm3 / (4 * np.pi)) ** (1 / 3)

    tumour = draft
    reached_mm3 = 0.0
    for _ in range(MOST_STEPS):
        tumour = replace(draft, ball_radius=float(radius))
        reached_mm3 = measure_volume(tumour, normal)
        if _is_met(reached_mm3, volume_mm3):
            break

        # The ball's volume goes with the cube of its radius, as far as the bone does not cut it.
        reached_ball_mm3 = max(reached_mm3 - rod_mm3, 0.05 * ball_mm3)
        radius *= (ball_mm3 / reached_ball_mm3) ** (1 / 3)
    return replace(tumour, volume_mm3=reached_mm3)


def _shrink_rod(
    rod: Tumour, volume_mm3: float, canal_length_mm: float, rng: np.random.Generator, normal: np.ndarray
) -> Tumour:
    """`rod` with the wanted volume, somewhere in its canal.

    Length and width shrink together until the volume fits; what is left of the canal is where it may lie.

    Args:
        rod: A tumour without a ball that holds the wanted volume or nearly.
        volume_mm3: The wanted volume.
        canal_length_mm: From porus to fundus.
        rng: Random numbers for its place.
        normal: Unit normal (3,) of the petrous bone's face.
    """
    # Cysts are features of the part in the angle.
    if rod.tumour_class == "cystic":
        rod = replace(rod, tumour_class="solid", cysts=())

    tumour = rod
    length = radius = reached_mm3 = 0.0
    shrink = 1.0
    for _ in range(MOST_STEPS):
        length = rod.canal_depth * shrink
        radius = rod.canal_radius * shrink**0.3
        tumour = replace(rod, canal_depth=length, canal_radius=radius)
        reached_mm3 = measure_volume(tumour, normal)
        if _is_met(reached_mm3, volume_mm3):
            break

        # Volume goes with the power 1 + 2 x 0.3 of `shrink`, whose inverse is near 0.6.
        shrink *= (volume_mm3 / reached_mm3) ** 0.6

    # The rounded ends take 1.8 radii of the canal.
    free_mm = max(canal_length_mm - length - 1.8 * radius, 0.0)
    start = rng.uniform(0, free_mm + 1e-6)
    return replace(
        tumour,
        canal_start=float(start),
        canal_depth=float(start + length),
        volume_mm3=reached_mm3,
    )


def _is_met(reached_mm3: float, volume_mm3: float) -> bool:
    """Whether a measured volume is near enough to the wanted one."""
    return abs(reached_mm3 / volume_mm3 - 1) < VOLUME_TOLERANCE


def _grid_spacing_mm(tumour: Tumour, steps: int) -> float:
    """Spacing of a grid with `steps` voxels in the cube root of a tumour's nominal volume."""
    return tumour.volume_mm3 ** (1 / 3) / steps


def _grid_around(tumour: Tumour, steps: int) -> Lattice:
    """A grid over the whole tumour in its canal's frame."""
    spacing_mm = _grid_spacing_mm(tumour, steps)
    low, high = _box(tumour)
    sizes = np.ceil((high - low) / spacing_mm)
    size_a, size_b, size_c = sizes.astype(int).tolist()

    first = low + 0.5 * spacing_mm
    steps_zyx = spacing_mm * np.eye(3)[::-1]
    return Lattice((size_c, size_b, size_a), first, steps_zyx)


def _box(tumour: Tumour) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest point (3,) of a box in the canal's frame that holds the tumour."""
    margin = tumour.canal_radius + 1.0
    low = np.array([tumour.canal_start - margin, -margin, -margin])
    high = np.array([tumour.canal_depth + margin, margin, margin])

    if tumour.ball_radius > 0:
        # A relief is a sum of waves and hardly ever above three standard deviations.
        relative_radii = np.asarray(tumour.ball_shape) + 3 * tumour.relief
        reach = tumour.ball_radius * relative_radii + 1.0
        low = np.minimum(low, tumour.ball_centre - reach)
        high = np.maximum(high, tumour.ball_centre + reach)
    return low, high


def _sample_class(rng: np.random.Generator, volume_mm3: float) -> str:
    limit_mm3 = min(limit for limit in CLASS_SHARES if volume_mm3 <= limit)
    shares = CLASS_SHARES[limit_mm3]
    return str(rng.choice(CLASSES, p=shares))


def _sample_cysts(rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    """Cysts of one tumour: centres (a, b, c) and radii, in ball radii from the ball's centre."""
    is_single = rng.random() < SINGLE_CYST_SHARE
    count = 1 if is_single else int(rng.integers(2, 6))
    cysts = []
    for _ in range(count):
        direction = unit(rng.normal(size=3))
        radius = rng.uniform(0.18, 0.45)
        # A quarter of the ball's radius is left as a wall around the cyst.
        from_centre = rng.uniform(0.0, 0.75 - radius)
        a, b, c = direction * from_centre
        cysts.append((a, b, c, float(radius)))
    return tuple(cysts)
