"""Scalp, skull, face and temporal bones of a drawn head. Frame and sizes: see `head`."""

from __future__ import annotations

import numpy as np

from training.phantom.canvas import Canvas
from training.phantom.ear import Ear
from training.phantom.shapes import both, capsule, ellipsoid, smooth_intersection, smooth_union

VAULT_CENTRE = (0.0, -10.0, 26.0)
INNER_VAULT = (66.0, 84.0, 82.0, 70.0)
"""Radii of the inner table: sideways, front to back, up, down."""
HEAD_RADII = (77.0, 97.0, 98.0, 210.0)


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
    bend = np.float32(0.12) * (np.sqrt(along * along + 9) - 3)
    face = behind + bend + slope * (z - np.float32(ear.porus[2]))
    roof = z - (9.5 + np.clip(0.12 * along, -2.5, 3.0))
    return both(smooth_intersection(face, roof, 3.0), -(behind + thickness), -(along + 23.0))


def vault_distance(canvas: Canvas, radii, grow: float = 0.0) -> np.ndarray:
    """Distance to the vault-like body with different heights above and below its centre."""
    dz = canvas.z - np.float32(VAULT_CENTRE[2])
    squeezed = dz * np.where(dz > 0, np.float32(1.0), np.float32(radii[2] / radii[3]))
    return ellipsoid(
        canvas.x, canvas.y, squeezed, (0.0, VAULT_CENTRE[1], 0.0), (radii[0] + grow, radii[1] + grow, radii[2] + grow)
    )


def face_distance(canvas: Canvas) -> np.ndarray:
    """Distance to what lies before and under the brain: orbits, nose, sphenoid with the clivus, skull base."""
    u, y, z = canvas.u, canvas.y, canvas.z
    clivus = y + 12.5 + 0.28 * z
    behind = 0.79 * (y - 2.0) - 0.61 * (u - 23.0)
    back = smooth_union(clivus, behind + 5.0, 6.0)
    roof = z - (11.0 + 13.0 * np.clip((-28.0 - y) / 18.0, 0, 1))
    middle_fossa = ellipsoid(u, y, z, (42, -26, 15), (24, 30, 23))
    return both(back, roof, -middle_fossa)


def both_petrous(canvas: Canvas, ears: tuple[Ear, Ear]) -> np.ndarray:
    x, y, z = canvas.real
    sides = [petrous_distance(ear, ear.sign * x, y, z) for ear in ears]
    return np.where(x > 0, sides[0], sides[1])


def paint_scalp_and_skull(canvas: Canvas, vault: np.ndarray, face: np.ndarray) -> None:
    skin = vault_distance(canvas, HEAD_RADII)
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


def paint_face(canvas: Canvas, face: np.ndarray) -> None:
    if canvas.z.min() > 30 or canvas.y.min() > 10:
        return
    tissue = canvas.field("tissue")
    soft = canvas.cover(np.maximum(face, vault_distance(canvas, HEAD_RADII) + 8.0))
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


def paint_temporal_bones(canvas: Canvas, petrous: np.ndarray, cavity: np.ndarray) -> None:
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
