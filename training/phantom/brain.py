"""Brain, ventricles and vessels of a drawn head, and how they make way for a tumour. Frame and sizes: see `head`."""

from __future__ import annotations

import numpy as np

from training.phantom.canvas import Canvas
from training.phantom.ear import Ear
from training.phantom.shapes import EVERYWHERE, both, capsule, ellipsoid, polyline, smooth_union
from training.phantom.skull import INNER_VAULT, VAULT_CENTRE
from training.phantom.tumour import Tumour

FOURTH = (0, 22.0, -1)
VENTRICLES = (
    (FOURTH, (7.5, 5.5, 14), 15),
    ((0, 0, 33), (2.2, 12, 9), 13),
    ((10, 0, 46), (7, 30, 9), 32),
    ((31, -10, 9), (1.6, 9, 2.2), 33),
)
"""Fourth (with the nodule of the vermis in its roof), third, lateral ventricles and temporal horns: centre (u, y, z),
radii, and the reach over both sides, mm."""


def _make_way(canvas: Canvas, mass: tuple[Ear, Tumour] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each brain point came from before a tumour grew, as in an incompressible medium pushed from one point.

    Half of the tumour's volume is taken to have displaced fluid only; what is left acts in the half space that bone
    leaves open, so twice as strongly.
    """
    if mass is None or mass[1].ball_radius == 0:
        return canvas.x, canvas.y, canvas.z
    ear, tumour = mass
    centre = ear.frame().point(tumour.ball_centre) * (ear.sign, 1, 1)
    pushed = np.float32(tumour.volume_mm3 * 3 / (4 * np.pi))
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


def paint_brain(canvas: Canvas, ears: tuple[Ear, Ear], cavity: np.ndarray, mass: tuple[Ear, Tumour] | None) -> None:
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
            place = tuple(v[window] for v in (u, y, z))
            distance = ellipsoid(*place, centre, radii)
            if centre is FOURTH:
                distance = both(distance, -ellipsoid(*place, (0, 26.5, -3), (3.4, 5.5, 9)))
            canvas.paint(canvas.cover(distance), "csf", window)
    window = canvas.near((0, -8, 6), 21)
    if window is not None:
        nerve = capsule(u[window], y[window], z[window], (12, -2, 6), (18, -15, 5), 1.7)
        canvas.paint(canvas.cover(np.maximum(nerve, cavity[window])), "nerve", window)


def _paint_cerebrum(canvas: Canvas, ears, cavity, place, tentorium) -> None:
    u, y, z = place
    if z.max() < -10:
        return
    angle = np.deg2rad(np.mean([ear.petrous_angle_deg for ear in ears]))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    porus = np.mean([ear.porus for ear in ears], axis=0, dtype=np.float32)
    before_petrous = (y - porus[1]) * cosine - (u - porus[0]) * sine + 14.0
    above = np.minimum(tentorium + 1.5 - z, np.maximum(before_petrous, 19.0 - u))
    stem_space = np.maximum(ellipsoid(u, y, np.zeros_like(z), (0, 6, 0), (19, 26, 1e3)), z - 30.0)
    suprasellar = np.maximum(ellipsoid(u, y, z, (0, -20, 16), (15, 12, 12)), z - 30.0)
    distance = both(cavity + canvas.head.cistern_mm, above, 1.2 - u, -stem_space, -suprasellar)
    fold = canvas.field("fold")
    sulcus = np.exp(-((fold / np.float32(0.16)) ** 2))
    distance = distance + np.float32(9.0) * sulcus * np.clip(1 + distance / 16.0, 0, 1)
    canvas.paint(canvas.cover(distance), "grey")
    canvas.paint(canvas.cover(distance + 3.0) * np.clip(0.93 + 0.05 * canvas.field("mottle"), 0, 1), "white")


def _paint_cerebellum(canvas: Canvas, cavity, place, tentorium) -> None:
    u, y, z = place
    hemisphere = ellipsoid(u, y, z, (28, 40.5, -6), (34, 32, 34))
    vermis = ellipsoid(u, y, z, (0, 43, -2), (13, 19, 27))
    distance = smooth_union(hemisphere, vermis, 5.0)
    distance = np.minimum(distance, ellipsoid(u, y, z, (20.0, 11.0, -5), (3.6, 3.0, 3.0)))
    distance = both(distance, cavity + 0.6 * canvas.head.cistern_mm, z - tentorium + 1.5)
    # Folia are thin sheets around the front of the cerebellum: shells of that distance, bent at random. Deeper fissures
    # part the lobules; the white matter's branches follow these.
    shells = np.sqrt((0.8 * u) ** 2 + (y - 13) ** 2 + (1.1 * (z - 2)) ** 2)
    bent = shells + np.float32(1.1) * canvas.field("folia")
    folia = np.cos(np.float32(2 * np.pi / 2.7) * bent)
    lobules = np.cos(np.float32(2 * np.pi / 8.1) * bent + canvas.field("fold"))
    near_surface = np.clip(1 + distance / 12.0, 0, 1)
    fissure = np.clip(folia - 0.5, 0, 1) + 3.0 * np.clip(lobules - 0.8, 0, 1)
    body = canvas.cover(distance + 3.5 * fissure * near_surface)
    canvas.paint(body, "grey")
    canvas.paint(body * near_surface * (0.14 * np.clip(folia, 0, 1) + 0.5 * np.clip(lobules - 0.85, 0, 1)), "csf")
    canvas.paint(canvas.cover(distance + 9.0 + 3.5 * lobules) * np.clip(0.85 - 0.15 * folia, 0, 1), "white")


def _paint_brainstem(canvas: Canvas, cavity, place) -> None:
    window = canvas.near((0, 12, 0), 52) if place[2].min() > -45 else EVERYWHERE
    if window is None:
        return
    u, y, z = (v[window] for v in place)
    cavity = cavity[window]
    pons = ellipsoid(u, y, z, (0, 4.5, 3), (16.5, 12.5, 14))
    medulla = capsule(u, y, z, (0, 8, -12), (0, 14, -60), 8.5, 6.5)
    midbrain = ellipsoid(u, y, z, (0, 5, 24), (16, 12, 13))
    stem = smooth_union(smooth_union(pons, medulla, 4.0), midbrain, 4.0)
    peduncle = capsule(u, y, z, (9, 10, 1), (27, 26, -3), 8.5, 9.5)
    stem = np.maximum(smooth_union(stem, peduncle, 3.0), cavity + 0.5)
    canvas.paint(canvas.cover(stem), "white", window)
    mixed = np.clip(0.45 + 0.15 * canvas.field("mottle")[window], 0, 1)
    canvas.paint(canvas.cover(stem + 1.0) * mixed, "grey", window)


def paint_vessels(canvas: Canvas, inside: np.ndarray) -> None:
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
