"""The inner ear and the canal, in a frame of one side (u lateral, y posterior, z up), mirrored for the other.

Sizes, with their spread in `sample_ear`: canal 10 to 12 mm long and 4 to 5 mm wide; cochlea of 2 1/2 turns (Gray's
Anatomy gives 2 3/4), 5 mm high and 9 mm across the base at the bone, less for its fluid; vestibule 5 x 5 x 3 mm;
semicircular canals with a lumen of 1 to 1.5 mm. On one real label the cochleae lie 68.7 mm apart and measure 58 mm3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.shapes import Capsule, along, capsule, ellipsoid, smooth_union, unit
from training.phantom.tumour_shape import CanalFrame

CANAL_LENGTH_MM = (10.0, 12.0)
CANAL_RADIUS_MM = (2.0, 2.5)
CANAL_SLOPE = (-0.22, -0.02)
"""How far a canal runs forward and up for each mm outward."""
CANAL_TILT = (-0.08, 0.08)
PETROUS_ANGLE_DEG = (30.0, 40.0)
NERVE_OFFSETS = np.array([[-0.9, 0.9], [-0.9, -0.9], [0.9, 0.8], [0.9, -0.8]])
"""Positions (posterior, up) in mm across the canal of the facial, cochlear, upper and lower vestibular nerves."""

TURNS = 2.5
"""Of the cochlea."""
LAST_ANGLE = np.float32(2 * np.pi * TURNS)
"""Angle at the apex, from the start of the basal turn."""
COCHLEA_AXIS = np.array([0.62, -0.72, -0.30])
"""Mean direction of its axis from base to apex: outward, forward and down."""
COCHLEA_START = np.array([0.55, 0.75, -0.1])
"""Where its basal turn begins, seen from its axis."""
COCHLEA_FROM_FUNDUS = np.array([1.3, -5.6, -0.9])
MODIOLUS = Capsule((0, 0, -0.6), (0, 0, 1.9), 2.4, 0.9)
"""The cone of bone in its middle, in the cochlea's own frame, of one with size 1."""

VESTIBULE_FROM_FUNDUS = np.array([4.6, 1.6, 0.4])
VESTIBULE_RADII_MM = (1.6, 2.6, 2.4)
CANAL_RINGS = (
    ((2.6, 2.2, 0.3), (0.15, -0.35, 1.0), 2.7),
    ((0.3, -0.3, 3.4), (0.72, 0.70, 0.0), 3.2),
    ((1.7, 3.4, -0.4), (-0.55, 0.83, 0.1), 3.1),
)
"""Lateral, superior and posterior semicircular canal: centre from the vestibule in mm, normal, radius in mm."""
RING_LUMEN_MM = (0.5, 0.7)

BACK = np.array([0.0, 1.0, 0.0])
"""Unit vector to the patient's back."""


@dataclass(frozen=True)
class Ring:
    """A semicircular canal, taken as a whole ring."""

    centre: np.ndarray
    """(3,) in mm."""
    normal: np.ndarray
    """Unit vector (3,)."""
    radius_mm: float
    """From the centre to the middle of the lumen."""
    lumen_mm: float
    """Radius of the lumen."""


@dataclass(frozen=True)
class Ear:
    """One side's inner ear; lengths in mm in the side's frame."""

    sign: int
    """+1 left (patient x grows to the left), -1 right."""
    porus: np.ndarray
    """Middle (3,) of the canal's opening."""
    fundus: np.ndarray
    """Middle (3,) of its blind end."""
    canal_radius: float
    cochlea_centre: np.ndarray
    cochlea_axes: np.ndarray
    """Rows: two vectors of the base plane (the first towards the start of the basal turn) and the axis to the apex."""
    cochlea_size: float
    """Scale of the cochlea; 1 has a basal radius of 2.75 mm to the middle of its lumen."""
    vestibule: np.ndarray
    """Its centre (3,)."""
    canal_rings: tuple[Ring, ...]
    """Semicircular canals."""
    nerve_offsets: np.ndarray
    """Positions (4, 2) of the nerves across the canal (posterior, up)."""
    petrous_angle_deg: float
    """Mean angle of the posterior face of the petrous bone to the left-right axis."""

    @property
    def mirror(self) -> np.ndarray:
        """Factors (3,) between the side's frame (u, y, z) and the head's (x, y, z), either way."""
        return np.array([self.sign, 1, 1])

    @property
    def face_normal(self) -> np.ndarray:
        """Normal of the petrous face in the side's frame, into the posterior fossa."""
        angle = np.deg2rad(self.petrous_angle_deg)
        sine = np.sin(angle)
        cosine = np.cos(angle)
        return np.array([-sine, cosine, 0.0])

    @property
    def middle(self) -> np.ndarray:
        """Middle (3,) between porus and vestibule, around which the ear lies."""
        return 0.5 * (self.porus + self.vestibule)

    @property
    def canal_length(self) -> float:
        """Porus to fundus in mm."""
        return float(np.linalg.norm(self.fundus - self.porus))

    def frame(self) -> CanalFrame:
        """The canal as a frame for a tumour, in the side's coordinates."""
        outward = (self.fundus - self.porus) / self.canal_length

        # The patient's back, less what of it runs along the canal.
        back = unit(BACK - outward[1] * outward)
        up = np.cross(outward, back)
        axes = np.stack([outward, back, up])
        return CanalFrame(self.porus, axes, axes @ self.face_normal)


def sample_ear(rng: np.random.Generator, sign: int, canal_half_mm: float) -> Ear:
    """Sample one side's ear.

    Args:
        rng: Random numbers.
        sign: 1 for the left, -1 for the right.
        canal_half_mm: Distance of the canal's middle from the midline.

    Returns:
        The ear.
    """
    # The canal: outward, a little forward, about level.
    length_mm = rng.uniform(*CANAL_LENGTH_MM)
    slope = rng.uniform(*CANAL_SLOPE)
    tilt = rng.uniform(*CANAL_TILT)
    length = np.sqrt(1 + slope**2 + tilt**2)
    outward = np.array([1.0, slope, tilt]) / length

    # Its two ends, half its length from its middle.
    middle_y = rng.uniform(1.0, 3.0)
    middle_z = rng.normal(0, 0.5)
    middle = np.array([canal_half_mm, middle_y, middle_z])
    half = 0.5 * length_mm * outward
    porus = middle - half
    fundus = middle + half

    # The cochlea's axes: the start of the basal turn is made orthogonal to the axis to the apex.
    to_apex = unit(COCHLEA_AXIS + rng.normal(0, 0.06, 3))
    along_axis = (COCHLEA_START @ to_apex) * to_apex
    to_start = unit(COCHLEA_START - along_axis)
    across = np.cross(to_apex, to_start)

    # The rest, in an order that a seed's anatomy depends on.
    vestibule = fundus + VESTIBULE_FROM_FUNDUS + rng.normal(0, 0.3, 3)
    canal_radius = float(rng.uniform(*CANAL_RADIUS_MM))
    cochlea_centre = fundus + COCHLEA_FROM_FUNDUS + rng.normal(0, 0.3, 3)
    cochlea_size = float(rng.uniform(0.92, 1.08))
    canal_rings = _sample_rings(rng, vestibule)
    nerve_offsets = NERVE_OFFSETS + rng.normal(0, 0.12, NERVE_OFFSETS.shape)
    petrous_angle_deg = float(rng.uniform(*PETROUS_ANGLE_DEG))

    return Ear(
        sign=sign,
        porus=porus,
        fundus=fundus,
        canal_radius=canal_radius,
        cochlea_centre=cochlea_centre,
        cochlea_axes=np.stack([to_start, across, to_apex]),
        cochlea_size=cochlea_size,
        vestibule=vestibule,
        canal_rings=canal_rings,
        nerve_offsets=nerve_offsets,
        petrous_angle_deg=petrous_angle_deg,
    )


def cochlea_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances to the lumen of the spiral, and to the whole cochlea as it is labelled.

    The lumen's middle runs on a cone; at every point the nearest of its passes in the point's half-plane through the
    axis is taken. The label also holds the thin walls between the turns and the modiolus, as a rater paints it.

    Args:
        ear: The ear.
        u: Coordinates of the points to the side, mm.
        y: To the back, mm.
        z: Up, mm.

    Returns:
        Distances to the lumen and to the whole in mm, in the points' shape.
    """
    size = np.float32(ear.cochlea_size)
    axes = ear.cochlea_axes.T.astype(np.float32)
    centre = ear.cochlea_centre.astype(np.float32)
    offset = np.stack([u, y, z], axis=-1) - centre  # (..., 3)

    # In the cochlea's own frame, of size 1: p and q in the plane of the base, h along the axis.
    local = offset @ axes / size  # (..., pqh)
    p, q, h = np.moveaxis(local, -1, 0)
    radial = np.hypot(p, q)
    around = np.arctan2(q, p)
    angle = np.mod(around, np.float32(2 * np.pi))

    # The nearest of the turns that pass a point's half-plane.
    lumen = np.full(radial.shape, 1e3, dtype=np.float32)
    for turn in range(int(np.ceil(TURNS))):
        turned = 2 * np.pi * turn
        theta = np.minimum(angle + turned, LAST_ANGLE)
        middle, height, tube = _spiral(theta / LAST_ANGLE)

        # Beyond the apex the end of the spiral is nearest, at a distance along the arc.
        past_end = angle + turned - theta
        along_arc = past_end * middle
        outward = radial - middle
        upward = h - height
        squared = outward**2 + upward**2 + along_arc**2
        this_turn = np.sqrt(squared) - tube
        lumen = np.minimum(lumen, this_turn)

    # The label has no holes between the turns.
    modiolus = MODIOLUS.distance(p, q, h)
    filled = smooth_union(lumen, modiolus, 0.8)
    whole = np.minimum(lumen, filled)
    return lumen * size, whole * size


def labyrinth_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance to the fluid of the vestibule and the three semicircular canals.

    Args:
        ear: The ear.
        u: Coordinates of the points to the side, mm.
        y: To the back, mm.
        z: Up, mm.

    Returns:
        Distances in mm, in the points' shape.
    """
    distance = ellipsoid(u, y, z, ear.vestibule, VESTIBULE_RADII_MM)
    for ring in ear.canal_rings:
        to_ring = _ring_distance(ring, u, y, z)
        distance = np.minimum(distance, to_ring)
    return distance


def canal_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray, radius_mm: float) -> np.ndarray:
    """Signed distance to the fluid of the internal auditory canal, flared where it opens into the cistern.

    Args:
        ear: The ear.
        u: Coordinates of the points to the side, mm.
        y: To the back, mm.
        z: Up, mm.
        radius_mm: Radius of the canal at the porus.

    Returns:
        Distances in mm, in the points' shape.
    """
    outward = (ear.fundus - ear.porus) / ear.canal_length

    # The tube begins in the cistern, and its rounded end lies at the fundus.
    start = ear.porus - 2.0 * outward
    end = ear.fundus - outward * ear.canal_radius * 0.7
    end_radius_mm = 0.8 * ear.canal_radius
    tube = capsule(u, y, z, start, end, radius_mm, end_radius_mm)

    # The flare narrows to the tube's width within a millimetre of the porus.
    flare_start = ear.porus - 4.0 * outward
    flare_end = ear.porus + outward
    flare_radius_mm = 1.5 * radius_mm
    flare = capsule(u, y, z, flare_start, flare_end, flare_radius_mm, radius_mm)
    return np.minimum(tube, flare)


def nerve_segments(ear: Ear, root: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Rods of the facial, cochlear and two vestibular nerves, from the brainstem to the fundus.

    Args:
        ear: The ear.
        root: Where the nerves leave the brainstem (3,), mm in the side's frame.

    Returns:
        Start, end and radius in mm of each rod.
    """
    frame = ear.frame()
    segments: list[tuple[np.ndarray, np.ndarray, float]] = []
    for index, (back, up) in enumerate(ear.nerve_offsets):
        # The facial nerve leaves the brainstem before the others.
        root_back = -1.2 if index == 0 else 1.0
        root_up = 0.4 * np.sign(up)
        start = root + np.array([0.0, root_back, root_up])

        # At the porus the nerves lie closer together than in the canal.
        at_porus = np.array([0.0, 0.55 * back, 0.55 * up])
        at_fundus = np.array([ear.canal_length - 1.0, back, up])
        door = frame.point(at_porus)
        end = frame.point(at_fundus)

        # The cochlear nerve is the thickest.
        radius_mm = 0.55 if index == 1 else 0.5
        segments.append((start, door, radius_mm))
        segments.append((door, end, radius_mm))
    return segments


def _spiral(share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius and height of the lumen's middle and the lumen's own radius in mm, from base (0) to apex (1)."""
    middle = 2.75 * np.exp(-1.35 * share)
    height = -1.0 + 3.2 * share
    tube = 0.95 - 0.35 * share
    return middle, height, tube


def _sample_rings(rng: np.random.Generator, vestibule: np.ndarray) -> tuple[Ring, ...]:
    rings = []
    for from_vestibule, normal, mean_radius_mm in CANAL_RINGS:
        tilt = rng.normal(0, 0.06, 3)
        shift = rng.normal(0, 0.15, 3)
        direction = np.asarray(normal) + tilt
        centre = vestibule + np.asarray(from_vestibule) + shift
        radius_mm = float(mean_radius_mm * rng.uniform(0.92, 1.08))
        lumen_mm = float(rng.uniform(*RING_LUMEN_MM))
        ring = Ring(centre, unit(direction), radius_mm, lumen_mm)
        rings.append(ring)
    return tuple(rings)


def _ring_distance(ring: Ring, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance in mm to the lumen of a semicircular canal: a torus."""
    centre_u, centre_y, centre_z = ring.centre.astype(np.float32)
    offset_u = u - centre_u
    offset_y = y - centre_y
    offset_z = z - centre_z

    # Height over the ring's plane, and distance from its axis.
    normal = ring.normal.astype(np.float32)
    height = along(normal, offset_u, offset_y, offset_z)
    squared = offset_u * offset_u + offset_y * offset_y + offset_z * offset_z
    # By Pythagoras; rounding must not make it negative.
    radial_squared = squared - height * height
    radial = np.sqrt(np.maximum(radial_squared, 0))

    # Distance from the circle in the middle of the lumen.
    from_middle = np.hypot(radial - np.float32(ring.radius_mm), height)
    return from_middle - np.float32(ring.lumen_mm)
