"""The head around the ears: scalp, skull, face, brain, cisterns, petrous bones and vessels, drawn with soft edges.

Coordinates are millimetres in the head's frame: origin midway between the internal auditory canals, x to the left,
y to the back, z up; u = |x|. Dimensions are those of an adult head of 152 x 194 mm with an inner vault of 132 x 168 mm,
a pons of 25 mm from front to back and a posterior fossa some 110 mm wide, rounded from anatomy textbooks and scaled by
a few per cent per patient. Edges are covered as a plane through the voxel would cover it (see `shapes.coverage`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.ear import Ear
from training.phantom.shapes import (
    EVERYWHERE,
    Lattice,
    Waves,
    Window,
    capsule,
    coverage,
    ellipsoid,
    polyline,
    smooth_union,
)
from training.phantom.tumour import Tumour

VAULT_CENTRE = (0.0, -10.0, 26.0)
INNER_VAULT = (66.0, 84.0, 82.0, 70.0)
"""Radii of the inner table: sideways, front to back, up, down."""
VENTRICLES = (
    ((0, 21.5, -1), (7.5, 5.0, 14), 15),
    ((0, 0, 33), (2.2, 12, 9), 13),
    ((10, 0, 46), (7, 30, 9), 32),
    ((31, -10, 9), (1.6, 9, 2.2), 33),
)
"""Fourth, third, lateral ventricles and temporal horns: centre (u, y, z), radii, and the reach over both sides, mm."""
HEAD_RADII = (77.0, 97.0, 98.0, 210.0)


@dataclass(frozen=True)
class Head:
    """What makes one head differ from the next."""

    scale_xyz: np.ndarray
    fat_mm: float
    skull_mm: float
    cistern_mm: float
    """Depth of the subarachnoid space over the brain; wider with age."""
    aeration: float
    """Share of air in the mastoid, around 0.5."""
    apex_marrow: tuple[float, float]
    """Radius in mm of fatty marrow in the left and right petrous apex; it is there in a third of people."""
    sinus_mm: tuple[float, float]
    """Radius of the left and right sigmoid sinus."""
    basilar_bend_mm: float
    fields: dict[str, Waves]
    """Random fields by name: warp_x/y/z, fold, folia, mottle, cells, mucosa, tissue."""


def sample_head(rng: np.random.Generator) -> Head:
    """A head with published sizes, varied by a few per cent."""
    bands = {
        "warp_x": (35.0, 90.0),
        "warp_y": (35.0, 90.0),
        "warp_z": (35.0, 90.0),
        "fold": (11.0, 26.0),
        "folia": (14.0, 40.0),
        "mottle": (3.0, 12.0),
        "cells": (3.0, 7.0),
        "mucosa": (8.0, 20.0),
        "tissue": (9.0, 30.0),
    }
    return Head(
        scale_xyz=1 + np.clip(rng.normal(0, (0.03, 0.03, 0.035)), -0.08, 0.08),
        fat_mm=float(rng.uniform(2.5, 7.0)),
        skull_mm=float(rng.uniform(5.0, 7.5)),
        cistern_mm=float(rng.uniform(1.5, 3.5)),
        aeration=float(rng.uniform(0.25, 0.75)),
        apex_marrow=tuple(float(rng.uniform(3, 6)) if rng.random() < 0.33 else 0.0 for _ in range(2)),
        sinus_mm=tuple(rng.uniform(2.8, 5.2, 2)),
        basilar_bend_mm=float(rng.normal(0, 2.5)),
        fields={name: Waves.sample(rng, band) for name, band in bands.items()},
    )


def petrous_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance in mm to one side's petrous pyramid: a wedge whose posterior face holds the porus.

    The face is bent at the porus: it runs back steeply from the clivus, more gently to the side.
    """
    angle = np.float32(np.deg2rad(ear.petrous_angle_deg))
    along_x, along_y = np.cos(angle), np.sin(angle)
    du, dy = u - np.float32(ear.porus[0]), y - np.float32(ear.porus[1])
    along = du * along_x + dy * along_y
    behind = dy * along_x - du * along_y
    thickness = np.clip(20.0 + 0.25 * along, 11.0, 30.0)
    slope = np.float32(0.18)
    # The posterior face leans back towards its foot, the roof falls towards the apex.
    face = behind + np.float32(0.18) * np.abs(along) + slope * (z - np.float32(ear.porus[2]))
    roof = z - (9.0 + np.clip(0.12 * along, -2.5, 3.0))
    return np.maximum.reduce([face, -(behind + thickness), roof, -(along + 23.0)])


class Canvas:
    """An image on a lattice, painted one tissue over the other."""

    def __init__(self, lattice: Lattice, head: Head, signals: dict[str, float]) -> None:
        self.lattice, self.head, self.signals = lattice, head, signals
        self.width = float(np.mean(lattice.spacing_zyx))
        self.real = lattice.points()
        scale = head.scale_xyz.astype(np.float32)
        warps = (head.fields[f"warp_{axis}"].on(lattice) for axis in "xyz")
        self.x, self.y, self.z = (v / s + np.float32(0.9) * w for v, s, w in zip(self.real, scale, warps, strict=True))
        self.u = np.abs(self.x)
        self.image = np.zeros(lattice.size_zyx, dtype=np.float32)
        self._fields: dict[str, np.ndarray] = {}

    def field(self, name: str) -> np.ndarray:
        """One of the head's random fields here, made once."""
        if name not in self._fields:
            self._fields[name] = self.head.fields[name].on(self.lattice)
        return self._fields[name]

    def near(self, centre, radius_mm: float) -> Window | None:
        """Window of what a ball in scaled coordinates may touch, warps and a tumour's push included."""
        return self.lattice.near(np.asarray(centre) * self.head.scale_xyz, 1.05 * radius_mm + 6.0)

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each voxel inside a surface."""
        return coverage(distance, self.width)

    def paint(self, share: np.ndarray, tissue: str, window: Window = EVERYWHERE) -> None:
        """Lay `tissue` over `share` of every voxel in a window."""
        view = self.image[window]
        view += share * (np.float32(self.signals[tissue]) - view)

    def fill(self, tissue: str, shape, centre, radius_mm: float, within: np.ndarray | None = None) -> None:
        """Lay `tissue` over `shape(x, y, z)`, which lies in the ball around `centre` (scaled coordinates)."""
        window = self.near(centre, radius_mm)
        if window is None:
            return
        share = self.cover(shape(self.x[window], self.y[window], self.z[window]))
        self.paint(share if within is None else share * within[window], tissue, window)

    def fill_both(self, tissue: str, shape, centre, radius_mm: float, within: np.ndarray | None = None) -> None:
        """`fill` on both sides: `shape` and `centre` are given for the left one (x > 0)."""
        for sign in (1, -1):
            mirrored = (sign * centre[0], *centre[1:])
            self.fill(tissue, lambda x, y, z, s=sign: shape(s * x, y, z), mirrored, radius_mm, within)


def paint_head(
    lattice: Lattice, head: Head, ears: tuple[Ear, Ear], signals: dict[str, float], mass: tuple[Ear, Tumour] | None
) -> np.ndarray:
    """Signal (Z, Y, X) of everything but the canals, inner ears and tumour.

    `mass` is the ear with a tumour, and the tumour: brain and cerebrospinal fluid make way for it.
    """
    canvas = Canvas(lattice, head, signals)
    face = _face_distance(canvas)
    petrous = _both_petrous(canvas, ears)
    vault = _rounded(canvas, INNER_VAULT)
    cavity = np.maximum.reduce([vault, -face, -petrous])
    _paint_scalp_and_skull(canvas, vault, face)
    _paint_face(canvas, face)
    canvas.paint(canvas.cover(np.maximum(vault - head.skull_mm, petrous)), "bone")
    base = np.maximum.reduce([vault, face, -12.0 - canvas.z, -32.0 - canvas.y])
    canvas.paint(canvas.cover(np.minimum(cavity - 2.5, base)), "bone")
    _paint_temporal_bones(canvas, petrous, cavity)
    canvas.paint(canvas.cover(cavity - 0.5), "dura")
    inside = canvas.cover(cavity)
    canvas.paint(inside, "csf")
    canvas.fill("bone", lambda x, y, z: ellipsoid(x, y, z, (0, 67, -8), (2.5, 8, 22)), (0, 67, -8), 24)
    _paint_brain(canvas, ears, cavity, mass)
    _paint_vessels(canvas, inside)
    return canvas.image


def _rounded(canvas: Canvas, radii, grow: float = 0.0) -> np.ndarray:
    """Distance to the vault-like body with different heights above and below its centre."""
    dz = canvas.z - np.float32(VAULT_CENTRE[2])
    squeezed = dz * np.where(dz > 0, np.float32(1.0), np.float32(radii[2] / radii[3]))
    return ellipsoid(
        canvas.x, canvas.y, squeezed, (0.0, VAULT_CENTRE[1], 0.0), (radii[0] + grow, radii[1] + grow, radii[2] + grow)
    )


def _face_distance(canvas: Canvas) -> np.ndarray:
    """Distance to what lies before and under the brain: orbits, nose, sphenoid with the clivus, skull base."""
    u, y, z = canvas.u, canvas.y, canvas.z
    clivus = y + 12.5 + 0.28 * z
    behind = 0.79 * (y - 2.0) - 0.61 * (u - 23.0)
    back = np.minimum(np.maximum(clivus, u - 15.0), np.maximum(behind + 5.0, 11.0 - u))
    roof = z - (11.0 + 13.0 * np.clip((-28.0 - y) / 18.0, 0, 1))
    middle_fossa = ellipsoid(u, y, z, (42, -26, 15), (24, 30, 23))
    return np.maximum.reduce([back, roof, -middle_fossa])


def _both_petrous(canvas: Canvas, ears: tuple[Ear, Ear]) -> np.ndarray:
    x, y, z = canvas.real
    sides = [petrous_distance(ear, ear.sign * x, y, z) for ear in ears]
    return np.where(x > 0, sides[0], sides[1])


def _paint_scalp_and_skull(canvas: Canvas, vault: np.ndarray, face: np.ndarray) -> None:
    skin = _rounded(canvas, HEAD_RADII)
    tissue = canvas.field("tissue")
    canvas.paint(canvas.cover(skin), "skin")
    canvas.paint(canvas.cover(skin + 2.0), "fat")
    canvas.paint(canvas.cover(skin + (2.0 + canvas.head.fat_mm) + 0.8 * tissue), "muscle")
    planes = np.clip(0.35 * (tissue - 0.9), 0, 1) * canvas.cover(skin + 3.0)
    canvas.paint(planes, "fat")
    skull = canvas.head.skull_mm
    above_face = canvas.cover(-face)
    canvas.paint(canvas.cover(vault - skull) * above_face, "bone")
    diploe = np.abs(vault - 0.5 * skull) - 0.22 * skull
    canvas.paint(canvas.cover(diploe) * np.clip(0.75 + 0.25 * tissue, 0, 1) * above_face, "marrow")


def _paint_face(canvas: Canvas, face: np.ndarray) -> None:
    if canvas.z.min() > 30 or canvas.y.min() > 10:
        return
    tissue = canvas.field("tissue")
    soft = canvas.cover(np.maximum(face, _rounded(canvas, HEAD_RADII) + 8.0))
    canvas.paint(soft, "muscle")
    canvas.paint(soft * np.clip(0.5 + 0.9 * tissue, 0, 1), "fat")
    canvas.fill("bone", lambda x, y, z: ellipsoid(x, y, z, (0, -29, -4), (17, 24, 19)), (0, -29, -4), 25)
    canvas.fill("marrow", lambda x, y, z: ellipsoid(x, y, z, (0, -25, -6), (14, 17, 15)), (0, -25, -6), 18)
    for centre, radii in (((0, -38, 2), (12, 11, 9)), ((0, -70, -2), (9, 26, 16)), ((0, -40, -32), (11, 9, 14))):
        _paint_lined_air(canvas, centre, radii)
    for sign in (1, -1):
        _paint_lined_air(canvas, (sign * 28, -70, -24), (12, 15, 16))
    canvas.fill_both("fat", lambda x, y, z: ellipsoid(x, y, z, (32, -74, 12), (17, 25, 16)), (32, -74, 12), 26)
    canvas.fill_both("labyrinth", lambda x, y, z: ellipsoid(x, y, z, (32, -86, 11), (12, 12, 12)), (32, -86, 11), 13)
    canvas.fill_both("nerve", lambda x, y, z: capsule(x, y, z, (31, -74, 11), (14, -42, 13), 2.0), (22, -58, 12), 20)
    canvas.fill_both("muscle", lambda x, y, z: ellipsoid(x, y, z, (46, -38, -24), (12, 16, 22)), (46, -38, -24), 24)
    canvas.fill_both("bone", lambda x, y, z: capsule(x, y, z, (51, -14, -14), (50, -24, -55), 6.0), (50, -19, -35), 28)
    canvas.fill_both(
        "marrow", lambda x, y, z: capsule(x, y, z, (51, -14, -14), (50, -24, -55), 3.5), (50, -19, -35), 28
    )
    canvas.fill("pituitary", lambda x, y, z: ellipsoid(x, y, z, (0, -24, 10), (6, 5, 4)), (0, -24, 10), 7)


def _paint_lined_air(canvas: Canvas, centre, radii) -> None:
    """An air cell of the nose or its sinuses with its enhancing lining, thicker here and there."""
    thick = canvas.field("mucosa")
    window = canvas.near(centre, max(radii))
    if window is None:
        return
    distance = ellipsoid(canvas.x[window], canvas.y[window], canvas.z[window], centre, radii)
    lining = np.clip(1.2 + 1.2 * thick[window], 0.4, None)
    canvas.paint(canvas.cover(distance), "mucosa", window)
    canvas.paint(canvas.cover(distance + lining), "air", window)


def _paint_temporal_bones(canvas: Canvas, petrous: np.ndarray, cavity: np.ndarray) -> None:
    head = canvas.head
    cells, mucosa = canvas.field("cells"), canvas.field("mucosa")
    bone_only = canvas.cover(1.5 - cavity)
    air = np.clip(head.aeration + 0.55 * cells, 0, 1) * bone_only
    wet = np.clip(0.5 * (mucosa - 1.1), 0, 1) * bone_only
    for share, tissue in ((air, "air"), (wet, "mucosa")):
        canvas.fill_both(
            tissue, lambda x, y, z: ellipsoid(x, y, z, (56, 15, -8), (12, 13, 20)), (56, 15, -8), 22, share
        )
    for sign, radius in zip((1, -1), head.apex_marrow, strict=True):
        if radius:
            centre = (sign * 16.0, -14.0, 0.0)
            canvas.fill("marrow", lambda x, y, z, c=centre, r=radius: ellipsoid(x, y, z, c, (r, r, r)), centre, radius)
    canvas.fill_both("mucosa", lambda x, y, z: ellipsoid(x, y, z, (46, -3, -2), (2.8, 5.5, 6.5)), (46, -3, -2), 8)
    canvas.fill_both("air", lambda x, y, z: ellipsoid(x, y, z, (46, -3, -2), (2.2, 4.9, 5.9)), (46, -3, -2), 8)
    canvas.fill_both("air", lambda x, y, z: capsule(x, y, z, (49, 0, -4), (84, 4, -5), 3.4), (66, 2, -4), 22)
    canvas.fill_both("fat", lambda x, y, z: ellipsoid(x, y, z, (62, -6, -32), (8, 13, 18)), (62, -6, -32), 20)


def _make_way(canvas: Canvas, mass: tuple[Ear, Tumour] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each brain point came from before a tumour grew, as in an incompressible medium pushed from one point.

    Half of the tumour's volume is taken to have displaced fluid only.
    """
    if mass is None or mass[1].ball_radius == 0:
        return canvas.x, canvas.y, canvas.z
    ear, tumour = mass
    centre = ear.frame().point(tumour.ball_centre) * (ear.sign, 1, 1)
    pushed = np.float32(0.5 * tumour.volume_mm3 * 3 / (4 * np.pi))
    offset = [v - np.float32(c) for v, c in zip(canvas.real, centre, strict=True)]
    cubed = np.maximum(sum(o * o for o in offset), 1.0) ** np.float32(1.5)
    shrink = 1 - np.cbrt(np.maximum(1 - pushed / cubed, 0))
    scale = canvas.head.scale_xyz.astype(np.float32)
    scaled = zip((canvas.x, canvas.y, canvas.z), offset, scale, strict=True)
    return tuple(v - shrink * o / s for v, o, s in scaled)


def _cleft(canvas: Canvas, mass: tuple[Ear, Tumour] | None) -> np.ndarray | np.float32:
    """Positive within the film of fluid between a tumour and the brain it indents, the sign of a tumour outside it.

    The film is 0.2 to 1.4 mm thick before the brain's own distance from every wall is added.
    """
    far = np.float32(-1e3)
    if mass is None:
        return far
    ear, tumour = mass
    gap = np.full(canvas.u.shape, far, dtype=np.float32)
    window = canvas.lattice.near(ear.porus * (ear.sign, 1, 1), tumour.reach + 4.0)
    if window is not None:
        x, y, z = (v[window] for v in canvas.real)
        frame = ear.frame()
        distance = tumour.distance(*frame.local(ear.sign * x, y, z), frame.face_normal)
        film = np.clip(0.1 + 0.5 * canvas.field("fold")[window], -0.3, 0.9)
        gap[window] = film - distance
    return gap


def _paint_brain(canvas: Canvas, ears: tuple[Ear, Ear], cavity: np.ndarray, mass: tuple[Ear, Tumour] | None) -> None:
    x, y, z = _make_way(canvas, mass)
    u = np.abs(x)
    cavity = np.maximum(cavity, _cleft(canvas, mass))
    lift = np.clip((66.0 - y) / 48.0, 0, 1)
    tentorium = 10.0 + 25.0 * lift * np.exp(-((u / 26.0) ** 2))
    _paint_cerebrum(canvas, ears, cavity, (u, y, z), tentorium)
    _paint_cerebellum(canvas, cavity, (u, y, z), tentorium)
    _paint_brainstem(canvas, cavity, (u, y, z))
    for centre, radii, reach in VENTRICLES:
        window = canvas.near((0, centre[1], centre[2]), reach)
        if window is not None:
            place = (v[window] for v in (u, y, z))
            canvas.paint(canvas.cover(ellipsoid(*place, centre, radii)), "csf", window)
    window = canvas.near((0, -8, 6), 21)
    if window is not None:
        nerve = capsule(u[window], y[window], z[window], (12, -2, 6), (18, -15, 5), 1.7)
        canvas.paint(canvas.cover(np.maximum(nerve, cavity[window])), "nerve", window)


def _paint_cerebrum(canvas: Canvas, ears, cavity, place, tentorium) -> None:
    u, y, z = place
    if z.max() < -10:
        return
    angle = np.deg2rad(np.mean([ear.petrous_angle_deg for ear in ears]))
    porus = np.mean([ear.porus for ear in ears], axis=0)
    before_petrous = (y - porus[1]) * np.cos(angle) - (u - porus[0]) * np.sin(angle) + 14.0
    above = np.minimum(tentorium + 1.5 - z, np.maximum(before_petrous, 19.0 - u))
    stem_space = np.maximum(ellipsoid(u, y, np.zeros_like(z), (0, 6, 0), (19, 26, 1e3)), z - 30.0)
    suprasellar = np.maximum(ellipsoid(u, y, z, (0, -20, 16), (15, 12, 12)), z - 30.0)
    distance = np.maximum.reduce([cavity + canvas.head.cistern_mm, above, 1.2 - u, -stem_space, -suprasellar])
    fold = canvas.field("fold")
    sulcus = np.exp(-((fold / np.float32(0.16)) ** 2))
    distance = distance + np.float32(9.0) * sulcus * np.clip(1 + distance / 16.0, 0, 1)
    canvas.paint(canvas.cover(distance), "grey")
    canvas.paint(canvas.cover(distance + 3.0) * np.clip(0.93 + 0.05 * canvas.field("mottle"), 0, 1), "white")


def _paint_cerebellum(canvas: Canvas, cavity, place, tentorium) -> None:
    u, y, z = place
    hemisphere = ellipsoid(u, y, z, (28, 41, -6), (34, 31, 34))
    vermis = ellipsoid(u, y, z, (0, 43, -2), (13, 19, 27))
    distance = smooth_union(hemisphere, vermis, 5.0)
    distance = np.minimum(distance, ellipsoid(u, y, z, (20.0, 11.0, -5), (3.6, 3.0, 3.0)))
    distance = np.maximum.reduce([distance, cavity + 0.6 * canvas.head.cistern_mm, z - tentorium + 1.5])
    # Folia are thin sheets around the front of the cerebellum: shells of that distance, bent at random.
    shells = np.sqrt((0.8 * u) ** 2 + (y - 13) ** 2 + (1.1 * (z - 2)) ** 2)
    folia = np.cos(np.float32(2 * np.pi / 4.4) * shells + np.float32(1.6) * canvas.field("folia"))
    fissure = np.clip(folia - np.float32(0.55), 0, 1) * np.clip(1 + distance / 14.0, 0, 1)
    body = canvas.cover(distance + 3.0 * fissure)
    canvas.paint(body, "grey")
    canvas.paint(body * 0.16 * np.clip(folia, 0, 1) * np.clip(1 + distance / 9.0, 0, 1), "csf")
    canvas.paint(canvas.cover(distance + 8.5 + 3.5 * folia), "white")


def _paint_brainstem(canvas: Canvas, cavity, place) -> None:
    window = canvas.near((0, 12, 0), 52) if place[2].min() > -45 else EVERYWHERE
    if window is None:
        return
    u, y, z = (v[window] for v in place)
    cavity = cavity[window]
    pons = ellipsoid(u, y, z, (0, 4.5, 3), (15.5, 12.5, 14))
    medulla = capsule(u, y, z, (0, 8, -12), (0, 14, -60), 8.5, 6.5)
    midbrain = ellipsoid(u, y, z, (0, 5, 24), (16, 12, 13))
    stem = smooth_union(smooth_union(pons, medulla, 4.0), midbrain, 4.0)
    peduncle = capsule(u, y, z, (8, 11, 1), (26, 27, -3), 7.5, 8.5)
    stem = np.maximum(smooth_union(stem, peduncle, 3.0), cavity + 0.5)
    canvas.paint(canvas.cover(stem), "white", window)
    mixed = np.clip(0.45 + 0.15 * canvas.field("mottle")[window], 0, 1)
    canvas.paint(canvas.cover(stem + 1.0) * mixed, "grey", window)


def _paint_vessels(canvas: Canvas, inside: np.ndarray) -> None:
    bend = canvas.head.basilar_bend_mm
    basilar = [(0, -3.5, -28), (bend, -6.5, -14), (-0.6 * bend, -10.0, 2), (0, -12.5, 16)]
    canvas.fill("blood", lambda x, y, z: polyline(x, y, z, basilar, 1.7), (0, -8, -6), 27, inside)
    canvas.fill_both("blood", lambda x, y, z: capsule(x, y, z, (11, 4, -55), (0.5, -3.5, -28), 1.5), (6, 0, -42), 16)
    carotid = [(33, -10, -60), (31, -10, -12), (27, -12, -7), (15, -19, -2), (11, -22, 6), (10, -32, 11)]
    canvas.fill_both("blood", lambda x, y, z: polyline(x, y, z, carotid, 2.5), (22, -22, -22), 48)
    canvas.fill_both("blood", lambda x, y, z: ellipsoid(x, y, z, (11, -24, 7), (4, 9, 6)), (11, -24, 7), 9)
    for sign, radius in zip((1, -1), canvas.head.sinus_mm, strict=True):
        points = [(sign * px, py, pz) for px, py, pz in _sinus_points()]
        canvas.fill("blood", lambda x, y, z, p=points, r=radius: polyline(x, y, z, p, r), (sign * 35, 32, -6), 62)


def _sinus_points() -> list[tuple[float, float, float]]:
    """Transverse and sigmoid sinus on the inner table, then in to the jugular bulb."""
    points = []
    for angle_deg, z, inward in ((92, 8, 2.0), (70, 9, 2.0), (48, 9, 2.0), (30, 6, 2.0), (25, -4, 4.0), (20, -14, 8.0)):
        ring = np.sqrt(1 - ((z - VAULT_CENTRE[2]) / INNER_VAULT[3]) ** 2)
        angle = np.deg2rad(angle_deg)
        points.append(
            (
                float((INNER_VAULT[0] * ring - inward) * np.cos(angle)),
                float(VAULT_CENTRE[1] + (INNER_VAULT[1] * ring - inward) * np.sin(angle)),
                float(z),
            )
        )
    return [*points, (34.0, 8.0, -24.0), (30.0, 0.0, -30.0)]
