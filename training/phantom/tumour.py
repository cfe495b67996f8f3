"""The schwannoma: a rod in the internal auditory canal and a ball in the cerebellopontine angle, of a wanted volume.

It lives in a canal frame (origin at the porus, `a` lateral along the canal, `b` posterior, `c` up), so that the same
tumour can be put into a drawn head and into a real one whose canal was marked.

Published figures it rests on: volumes of the challenge's labels, 44 to 9801 mm3. 62 % of 89 tumours enhance
homogeneously, small ones nearly all, larger ones less (MRI of acoustic schwannoma: a retrospective study of 89 tumours,
Rofo 1993). 11.3 % are cystic, two thirds of them with a single cyst, all with an enhancing wall (Tali et al., Cystic
acoustic schwannomas: MR characteristics, AJNR 1993). Gadolinium about halves their T1 (text of a neuroradiology course,
University of California San Diego). How the classes change with size is a choice that gives those means.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from training.phantom.shapes import Lattice, Waves, capsule, coverage, ellipsoid, smooth_intersection, smooth_union

VOLUME_RANGE_MM3 = (44.0, 9800.0)
GADOLINIUM_MMOL_L = (0.17, 0.40)
"""Range of the concentration in solid tumour: from a halved T1 to some two thirds of the usual plasma level."""
CLASSES = ("solid", "heterogeneous", "cystic")
CLASS_SHARES = {500.0: (0.90, 0.09, 0.01), 2000.0: (0.55, 0.34, 0.11), np.inf: (0.27, 0.47, 0.26)}
"""Shares of `CLASSES` by volume: the first row whose limit in mm3 is not exceeded. Over log-uniform volumes this gives
the published 62 % solid and 11 % cystic."""


@dataclass(frozen=True)
class CanalFrame:
    """Where a canal lies: its porus in mm, its direction to the fundus, and which side of the porus is bone."""

    porus: np.ndarray
    """Point (3,) in the middle of the opening."""
    axes: np.ndarray
    """Rows: unit vectors a (lateral, along the canal), b (posterior), c (up)."""
    face_normal: np.ndarray = field(default_factory=lambda: np.array([-0.67, 0.74, 0.0]))
    """Unit normal of the petrous bone's posterior face in (a, b, c), pointing into the posterior fossa."""

    def local(self, x, y, z) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates a, b, c in mm of points given in the frame's own space."""
        axes, porus = self.axes.astype(np.float32), np.asarray(self.porus, dtype=np.float32)
        dx, dy, dz = x - porus[0], y - porus[1], z - porus[2]
        return tuple(dx * axis[0] + dy * axis[1] + dz * axis[2] for axis in axes)

    def point(self, local: np.ndarray) -> np.ndarray:
        """Point in mm of local coordinates (3,)."""
        return np.asarray(self.porus) + np.asarray(local) @ self.axes


@dataclass(frozen=True)
class Tumour:
    """One schwannoma's shape and make-up, all lengths in mm in the canal frame."""

    volume_mm3: float
    """Volume of the shape, measured."""
    tumour_class: str
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
    gadolinium_mmol_l: float
    cysts: tuple[tuple[float, float, float, float], ...] = ()
    """Centres and radii in ball radii from the ball's centre."""

    @property
    def ball_centre(self) -> np.ndarray:
        """Centre (3,) of the part in the angle, or of the rod where there is none."""
        if self.ball_radius == 0:
            return np.array([0.5 * (self.canal_start + self.canal_depth), 0.0, 0.0])
        return np.asarray(self.ball_offset) * self.ball_radius

    @property
    def reach(self) -> float:
        """Radius in mm of a ball around the porus that holds the tumour."""
        ball = self.ball_radius * (np.linalg.norm(self.ball_offset) + 1.25 * max(self.ball_shape) + self.relief)
        return float(max(ball, self.canal_depth) + self.canal_radius + 1.0)

    def distance(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, face_normal: np.ndarray) -> np.ndarray:
        """Signed distance in mm at local points; negative inside the tumour."""
        rod = capsule(
            a, b, c, (self.canal_start, 0, 0), (self.canal_depth, 0, 0), self.canal_radius, 0.85 * self.canal_radius
        )
        if self.ball_radius == 0:
            return rod
        radius = np.float32(self.ball_radius)
        ball = ellipsoid(a, b, c, self.ball_centre, radius * np.asarray(self.ball_shape, dtype=np.float32))
        ball = ball + radius * np.float32(self.relief) * self.lobes.at(a / radius, b / radius, c / radius)
        normal = face_normal.astype(np.float32)
        into_bone = -(a * normal[0] + b * normal[1] + c * normal[2])
        ball = smooth_intersection(ball, into_bone, 0.3 * self.ball_radius)
        return smooth_union(rod, ball, 2.0)

    def cyst_distance(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Signed distance in mm to the cysts (large where there are none)."""
        distance = np.full(np.shape(a), 1e3, dtype=np.float32)
        for *offset, radius in self.cysts:
            centre = self.ball_centre + np.asarray(offset) * self.ball_radius
            sphere = ellipsoid(a, b, c, centre, np.full(3, radius * self.ball_radius, dtype=np.float32))
            distance = np.minimum(distance, sphere)
        return distance

    def loose_share(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Share of loose (Antoni B) tissue at local points, 0 to 1; a faint mottle in a solid tumour."""
        field_value = self.texture.at(a, b, c)
        if self.tumour_class == "solid":
            return np.clip(0.10 + 0.08 * field_value, 0, 1)
        return np.clip(0.40 + 0.45 * field_value, 0, 1)


def sample_volume(rng: np.random.Generator, limits_mm3: tuple[float, float] = VOLUME_RANGE_MM3) -> float:
    """A volume in mm3, log-uniform in `limits_mm3`."""
    return float(np.exp(rng.uniform(*np.log(limits_mm3))))


def sample_tumour(
    rng: np.random.Generator,
    volume_mm3: float,
    canal_length_mm: float = 11.0,
    canal_radius_mm: float = 2.3,
    face_normal: np.ndarray | None = None,
) -> Tumour:
    """A tumour of `volume_mm3` (met within 2 %) for a canal of the given size.

    A tumour that the canal can hold lies in it; a larger one fills part of the canal, widens it by up to a third, and
    grows as a ball in the angle until its volume is met.
    """
    normal = np.array([-0.67, 0.74, 0.0]) if face_normal is None else np.asarray(face_normal)
    tumour_class = _sample_class(rng, volume_mm3)
    widening = 1 + min(0.35, 0.35 * volume_mm3 / 4000.0) * rng.uniform(0.5, 1.0)
    depth = canal_length_mm * (1 - rng.uniform(0.02, 1.0) ** 2 * 0.7)
    texture_mm = (2.5, 7.0) if tumour_class == "solid" else (4.0, 18.0)
    draft = Tumour(
        volume_mm3=volume_mm3,
        tumour_class=tumour_class,
        canal_depth=depth - canal_radius_mm * 0.85,
        canal_start=0.0,
        canal_radius=canal_radius_mm * 0.97 * widening,
        ball_radius=1.0,
        ball_shape=tuple(rng.uniform((0.85, 0.95, 0.85), (1.05, 1.25, 1.15))),
        ball_offset=tuple(rng.uniform((-0.85, -0.1, -0.2), (-0.45, 0.35, 0.2))),
        lobes=Waves.sample(rng, (0.9, 2.2), 8),
        relief=float(rng.uniform(0.01, 0.05)),
        texture=Waves.sample(rng, texture_mm, 24),
        gadolinium_mmol_l=float(rng.uniform(*GADOLINIUM_MMOL_L)),
        cysts=_sample_cysts(rng) if tumour_class == "cystic" else (),
    )
    return _grow(draft, volume_mm3, canal_length_mm, rng, normal)


def measure_volume(tumour: Tumour, face_normal: np.ndarray, steps: int = 24) -> float:
    """Volume in mm3 of the shape, on a grid of its volume's cube root divided by `steps`, with partial occupancy."""
    distance, spacing = _on_grid(tumour, face_normal, steps)[:2]
    return float(coverage(distance, spacing).sum() * spacing**3)


def measure_extent(tumour: Tumour, face_normal: np.ndarray) -> tuple[float, float]:
    """Length in mm inside the canal, and the largest axial diameter in mm in the angle (0 where there is none)."""
    distance, _, (a, b, c) = _on_grid(tumour, face_normal, 20)
    inside = distance < 0
    a, b, c = (np.broadcast_to(v, inside.shape)[inside] for v in (a, b, c))
    outside_bone = a * face_normal[0] + b * face_normal[1] + c * face_normal[2] > 0
    canal = a[~outside_bone]
    in_canal = float(max(canal.max() - max(canal.min(), 0.0), 0.0)) if canal.size else 0.0
    if tumour.ball_radius == 0 or not outside_bone.any():
        return in_canal, 0.0
    angles = np.linspace(0, np.pi, 18, endpoint=False)
    spans = np.cos(angles)[:, None] * a[outside_bone] + np.sin(angles)[:, None] * b[outside_bone]
    return in_canal, float(np.ptp(spans, axis=1).max())


def _grow(
    draft: Tumour, volume_mm3: float, canal_length_mm: float, rng: np.random.Generator, normal: np.ndarray
) -> Tumour:
    rod = replace(draft, ball_radius=0.0)
    rod_volume = measure_volume(rod, normal)
    if rod_volume >= 0.9 * volume_mm3:
        return _shrink_rod(rod, volume_mm3, canal_length_mm, rng, normal)
    wanted, radius = volume_mm3 - rod_volume, (3 * (volume_mm3 - rod_volume) / (4 * np.pi)) ** (1 / 3)
    tumour = draft
    for _ in range(12):
        tumour = replace(draft, ball_radius=float(radius))
        reached = measure_volume(tumour, normal)
        if abs(reached / volume_mm3 - 1) < 0.005:
            break
        radius *= (wanted / max(reached - rod_volume, 0.05 * wanted)) ** (1 / 3)
    return replace(tumour, volume_mm3=reached)


def _shrink_rod(
    rod: Tumour, volume_mm3: float, canal_length_mm: float, rng: np.random.Generator, normal: np.ndarray
) -> Tumour:
    # Length and width shrink together until the volume fits; what is left of the canal is where it may lie. Cysts are
    # features of the part in the angle.
    if rod.tumour_class == "cystic":
        rod = replace(rod, tumour_class="solid", cysts=())
    shrink = 1.0
    for _ in range(12):
        length, radius = rod.canal_depth * shrink, rod.canal_radius * shrink**0.3
        tumour = replace(rod, canal_depth=length, canal_radius=radius)
        reached = measure_volume(tumour, normal)
        if abs(reached / volume_mm3 - 1) < 0.005:
            break
        shrink *= (volume_mm3 / reached) ** 0.6
    start = rng.uniform(0, max(canal_length_mm - length - 1.8 * radius, 0.0) + 1e-6)
    return replace(tumour, canal_start=float(start), canal_depth=float(start + length), volume_mm3=reached)


def _on_grid(tumour: Tumour, face_normal: np.ndarray, steps: int):
    spacing = tumour.volume_mm3 ** (1 / 3) / steps
    low, high = _box(tumour)
    size = tuple(int(n) for n in np.ceil((high - low) / spacing)[::-1])
    a, b, c = Lattice(size, low + 0.5 * spacing, spacing * np.eye(3)[::-1]).points()
    return tumour.distance(a, b, c, face_normal), spacing, (a, b, c)


def _box(tumour: Tumour) -> tuple[np.ndarray, np.ndarray]:
    margin = tumour.canal_radius + 1.0
    low = np.array([tumour.canal_start - margin, -margin, -margin])
    high = np.array([tumour.canal_depth + margin, margin, margin])
    if tumour.ball_radius > 0:
        reach = tumour.ball_radius * (np.asarray(tumour.ball_shape) + 3 * tumour.relief) + 1.0
        low = np.minimum(low, tumour.ball_centre - reach)
        high = np.maximum(high, tumour.ball_centre + reach)
    return low, high


def _sample_class(rng: np.random.Generator, volume_mm3: float) -> str:
    shares = next(shares for limit, shares in CLASS_SHARES.items() if volume_mm3 <= limit)
    return str(rng.choice(CLASSES, p=shares))


def _sample_cysts(rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    cysts = []
    for _ in range(1 if rng.random() < 0.69 else rng.integers(2, 6)):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        radius = rng.uniform(0.18, 0.45)
        cysts.append((*(direction * rng.uniform(0.0, 0.75 - radius)), float(radius)))
    return tuple(cysts)
