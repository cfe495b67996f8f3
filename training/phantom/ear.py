"""The inner ear and the canal: drawn in a frame of one side (u lateral, y posterior, z up), mirrored for the other.

Sizes, with their spread in `sample_ear`: canal 10 to 12 mm long and 4 to 5 mm wide; cochlea of 2 1/2 turns (Gray's
Anatomy gives 2 3/4), 5 mm high and 9 mm across the base at the bone, less for its fluid; vestibule 5 x 5 x 3 mm;
semicircular canals with a lumen of 1 to 1.5 mm. On one real label the cochleae lie 68.7 mm apart and measure 58 mm3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.shapes import capsule, ellipsoid, smooth_union
from training.phantom.tumour import CanalFrame

TURNS = 2.5


@dataclass(frozen=True)
class Ear:
    """One side's inner ear; lengths in mm in the side's frame."""

    sign: int
    """+1 left (patient x grows to the left), -1 right."""
    porus: np.ndarray
    fundus: np.ndarray
    canal_radius: float
    cochlea_centre: np.ndarray
    cochlea_axes: np.ndarray
    """Rows: two vectors of the base plane (the first towards the start of the basal turn) and the axis to the apex."""
    cochlea_size: float
    """Scale of the cochlea; 1 has a basal radius of 2.75 mm to the middle of its lumen."""
    vestibule: np.ndarray
    canal_rings: tuple[tuple[np.ndarray, np.ndarray, float, float], ...]
    """Semicircular canals: centre, unit normal, radius of the ring, radius of the lumen."""
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
        return np.array([-np.sin(angle), np.cos(angle), 0.0])

    @property
    def canal_length(self) -> float:
        """Porus to fundus in mm."""
        return float(np.linalg.norm(self.fundus - self.porus))

    def frame(self) -> CanalFrame:
        """The canal as a frame for a tumour, in the side's coordinates."""
        along = (self.fundus - self.porus) / self.canal_length
        back = np.array([0.0, 1.0, 0.0]) - along[1] * along
        back /= np.linalg.norm(back)
        axes = np.stack([along, back, np.cross(along, back)])
        return CanalFrame(self.porus, axes, axes @ self.face_normal)


def sample_ear(rng: np.random.Generator, sign: int, canal_half_mm: float) -> Ear:
    """An ear whose canal has its middle `canal_half_mm` from the midline."""
    length = rng.uniform(10.0, 12.0)
    slope = rng.uniform(-0.22, -0.02)
    tilt = rng.uniform(-0.08, 0.08)
    along = np.array([1.0, slope, tilt]) / np.sqrt(1 + slope**2 + tilt**2)
    middle = np.array([canal_half_mm, rng.uniform(1.0, 3.0), rng.normal(0, 0.5)])
    fundus = middle + 0.5 * length * along
    axis = np.array([0.62, -0.72, -0.30]) + rng.normal(0, 0.06, 3)
    axis /= np.linalg.norm(axis)
    to_start = np.array([0.55, 0.75, -0.1])
    first = to_start - (to_start @ axis) * axis
    first /= np.linalg.norm(first)
    vestibule = fundus + np.array([4.6, 1.6, 0.4]) + rng.normal(0, 0.3, 3)
    return Ear(
        sign=sign,
        porus=middle - 0.5 * length * along,
        fundus=fundus,
        canal_radius=float(rng.uniform(2.0, 2.5)),
        cochlea_centre=fundus + np.array([1.3, -5.6, -0.9]) + rng.normal(0, 0.3, 3),
        cochlea_axes=np.stack([first, np.cross(axis, first), axis]),
        cochlea_size=float(rng.uniform(0.92, 1.08)),
        vestibule=vestibule,
        canal_rings=_sample_rings(rng, vestibule),
        nerve_offsets=np.array([[-0.9, 0.9], [-0.9, -0.9], [0.9, 0.8], [0.9, -0.8]]) + rng.normal(0, 0.12, (4, 2)),
        petrous_angle_deg=float(rng.uniform(30.0, 40.0)),
    )


def cochlea_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances in mm to the lumen of the spiral, and to the whole cochlea as it is labelled.

    The lumen's middle runs on a cone; at every point the nearest of its passes in the point's half-plane through the
    axis is taken. The label also holds the thin walls between the turns and the modiolus, as a rater paints it.
    """
    offset = np.stack([u, y, z], axis=-1) - ear.cochlea_centre.astype(np.float32)
    p, q, h = np.moveaxis(offset @ ear.cochlea_axes.T.astype(np.float32) / np.float32(ear.cochlea_size), -1, 0)
    radial, angle = np.hypot(p, q), np.mod(np.arctan2(q, p), np.float32(2 * np.pi))
    lumen = np.full(radial.shape, 1e3, dtype=np.float32)
    for turn in range(int(np.ceil(TURNS))):
        theta = np.minimum(angle + np.float32(2 * np.pi * turn), np.float32(2 * np.pi * TURNS))
        past_end = angle + 2 * np.pi * turn - theta
        share = theta / np.float32(2 * np.pi * TURNS)
        middle, height, tube = _spiral(share)
        distance = np.sqrt((radial - middle) ** 2 + (h - height) ** 2 + (past_end * middle) ** 2) - tube
        lumen = np.minimum(lumen, distance)
    cone = capsule(p, q, h, (0, 0, -0.6), (0, 0, 1.9), 2.4, 0.9)
    whole = np.minimum(lumen, smooth_union(lumen, cone, 0.8))
    return lumen * np.float32(ear.cochlea_size), whole * np.float32(ear.cochlea_size)


def labyrinth_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance in mm to the fluid of the vestibule and the three semicircular canals."""
    distance = ellipsoid(u, y, z, ear.vestibule, (1.6, 2.6, 2.4))
    for centre, normal, ring, lumen in ear.canal_rings:
        distance = np.minimum(distance, _torus(u, y, z, centre, normal, ring) - np.float32(lumen))
    return distance


def canal_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray, radius_mm: float) -> np.ndarray:
    """Signed distance in mm to the fluid of the internal auditory canal, flared where it opens into the cistern."""
    along = (ear.fundus - ear.porus) / ear.canal_length
    end = ear.fundus - along * ear.canal_radius * 0.7
    tube = capsule(u, y, z, ear.porus - 2.0 * along, end, radius_mm, 0.8 * ear.canal_radius)
    flare = capsule(u, y, z, ear.porus - 4.0 * along, ear.porus + along, 1.5 * radius_mm, radius_mm)
    return np.minimum(tube, flare)


def nerve_segments(ear: Ear, root: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Rods (start, end, radius in mm) of the facial, cochlear and two vestibular nerves, brainstem to fundus."""
    frame, segments = ear.frame(), []
    for index, (back, up) in enumerate(ear.nerve_offsets):
        start = root + np.array([0.0, -1.2 if index == 0 else 1.0, 0.4 * np.sign(up)])
        door = frame.point(np.array([0.0, 0.55 * back, 0.55 * up]))
        end = frame.point(np.array([ear.canal_length - 1.0, back, up]))
        radius = 0.55 if index == 1 else 0.5
        segments += [(start, door, radius), (door, end, radius)]
    return segments


def _spiral(share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius and height of the lumen's middle and the lumen's own radius in mm, from base (0) to apex (1)."""
    middle = np.float32(2.75) * np.exp(np.float32(-1.35) * share)
    height = np.float32(-1.0) + np.float32(3.2) * share
    return middle, height, np.float32(0.95) - np.float32(0.35) * share


def _sample_rings(rng: np.random.Generator, vestibule: np.ndarray):
    rings = []
    for offset, normal, radius in (
        ((2.6, 2.2, 0.3), (0.15, -0.35, 1.0), 2.7),
        ((0.3, -0.3, 3.4), (0.72, 0.70, 0.0), 3.2),
        ((1.7, 3.4, -0.4), (-0.55, 0.83, 0.1), 3.1),
    ):
        unit = np.asarray(normal) + rng.normal(0, 0.06, 3)
        centre = vestibule + np.asarray(offset) + rng.normal(0, 0.15, 3)
        ring = radius * rng.uniform(0.92, 1.08)
        rings.append((centre, unit / np.linalg.norm(unit), float(ring), float(rng.uniform(0.5, 0.7))))
    return tuple(rings)


def _torus(u, y, z, centre, normal, ring) -> np.ndarray:
    offset = [v - np.float32(c) for v, c in zip((u, y, z), centre, strict=True)]
    height = sum(o * np.float32(n) for o, n in zip(offset, normal, strict=True))
    radial = np.sqrt(np.maximum(sum(o * o for o in offset) - height * height, 0))
    return np.hypot(radial - np.float32(ring), height)
