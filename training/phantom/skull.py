"""Scalp, skull, face and temporal bones of a synthetic head. Frame and sizes: see `head`."""

from __future__ import annotations

import numpy as np

from training.phantom.canvas import Canvas, Part
from training.phantom.ear import Ear
from training.phantom.shapes import Capsule, Ellipsoid, as_share, both, smooth_intersection, smooth_union

VAULT_CENTRE = (0.0, -10.0, 26.0)
INNER_VAULT = (66.0, 84.0, 82.0, 70.0)
"""Radii of the inner table: sideways, front to back, up, down."""
HEAD_RADII = (77.0, 97.0, 98.0, 210.0)
"""The same of the skin, which goes on downwards to the neck."""

SKIN_MM = 2.0
"""Thickness of the skin."""
ABOVE_FACE_Z_MM, BEHIND_FACE_Y_MM = 30.0, 10.0
"""Where no slab shows anything of the face."""

MIDDLE_FOSSA = Ellipsoid((42, -26, 15), (24, 30, 23))
"""Of the skull, where the temporal lobe lies beside the face."""
SPHENOID = (
    Part("bone", Ellipsoid((0, -29, -4), (17, 24, 19)), reach_mm=25),
    Part("marrow", Ellipsoid((0, -25, -6), (14, 17, 15)), reach_mm=18),
)
"""Body of the sphenoid with the clivus."""
AIR_CELLS = (
    Ellipsoid((0, -38, 2), (12, 11, 9)),
    Ellipsoid((0, -70, -2), (9, 26, 16)),
    Ellipsoid((0, -40, -32), (11, 9, 14)),
    Ellipsoid((28, -70, -24), (12, 15, 16)),
    Ellipsoid((-28, -70, -24), (12, 15, 16)),
)
"""Sphenoid sinus, nasal cavity, nasopharynx, left and right maxillary sinus."""
FACE_PARTS = (
    # Orbit, eyeball and optic nerve.
    Part("fat", Ellipsoid((32, -74, 12), (17, 25, 16)), reach_mm=26),
    Part("labyrinth", Ellipsoid((32, -86, 11), (12, 12, 12)), reach_mm=13),
    Part("nerve", Capsule((31, -74, 11), (14, -42, 13), 2.0), reach_mm=20, around=(22, -58, 12)),
    # Pterygoid muscles, and the mandible with its marrow.
    Part("muscle", Ellipsoid((46, -38, -24), (12, 16, 22)), reach_mm=24),
    Part("bone", Capsule((51, -14, -14), (50, -24, -55), 6.0), reach_mm=28, around=(50, -19, -35)),
    Part("marrow", Capsule((51, -14, -14), (50, -24, -55), 3.5), reach_mm=28, around=(50, -19, -35)),
)
"""Parts of the left side of the face."""
PITUITARY = Part("pituitary", Ellipsoid((0, -24, 10), (6, 5, 4)), reach_mm=7)

MASTOID = Ellipsoid((56, 15, -8), (12, 13, 20))
MASTOID_AIR = Part("air", MASTOID, reach_mm=22)
MASTOID_MUCOSA = Part("mucosa", MASTOID, reach_mm=22)
APEX_CENTRE = (16.0, -14.0, 0.0)
"""Of the marrow in the left petrous apex."""
MIDDLE_EAR = (
    # The tympanic cavity with its lining, and the external auditory canal.
    Part("mucosa", Ellipsoid((46, -3, -2), (2.8, 5.5, 6.5)), reach_mm=8),
    Part("air", Ellipsoid((46, -3, -2), (2.2, 4.9, 5.9)), reach_mm=8),
    Part("air", Capsule((49, 0, -4), (84, 4, -5), 3.4), reach_mm=22, around=(66, 2, -4)),
    # Fat below the skull base.
    Part("fat", Ellipsoid((62, -6, -32), (8, 13, 18)), reach_mm=20),
)


def petrous_distance(ear: Ear, u: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance to one side's petrous pyramid: a wedge whose posterior face holds the porus.

    The face is bent at the porus: it runs back steeply from the clivus, more gently to the side.

    Args:
        ear: The side's ear.
        u: Coordinates of the points to the side, mm.
        y: To the back, mm.
        z: Up, mm.

    Returns:
        Distances in mm, in the points' shape.
    """
    angle = np.float32(np.deg2rad(ear.petrous_angle_deg))
    cosine = np.cos(angle)
    sine = np.sin(angle)

    # A frame that lies on the posterior face, with the porus as its origin.
    porus_u, porus_y, porus_z = ear.porus.astype(np.float32)
    from_porus_u = u - porus_u
    from_porus_y = y - porus_y
    along = from_porus_u * cosine + from_porus_y * sine
    behind = from_porus_y * cosine - from_porus_u * sine

    # The posterior face leans back towards its foot, the roof falls towards the apex.
    thickness = np.clip(20.0 + 0.25 * along, 11.0, 30.0)

    # A smooth step of the slope: |along| with its kink rounded over 3 mm.
    rounded = np.sqrt(along * along + 9) - 3
    bend = 0.12 * rounded
    lean = 0.18 * (z - porus_z)
    posterior_face = behind + bend + lean
    slope = np.clip(0.12 * along, -2.5, 3.0)
    roof_height = 9.5 + slope
    roof = z - roof_height

    # The superior petrosal edge, where face and roof meet, is rounded.
    edge = smooth_intersection(posterior_face, roof, 3.0)
    anterior_face = -(behind + thickness)
    apex = -(along + 23.0)
    return both(edge, anterior_face, apex)


def vault_distance(canvas: Canvas, radii: tuple[float, float, float, float], grow: float = 0.0) -> np.ndarray:
    """Distance to the vault-like body with different heights above and below its centre.

    Args:
        canvas: Whose points are asked for.
        radii: Sideways, front to back, up and down, mm.
        grow: What is added to the first three, mm.

    Returns:
        Signed distances in mm (Z, Y, X).
    """
    sideways, front_to_back, up, down = radii
    centre_x, centre_y, centre_z = VAULT_CENTRE
    height = canvas.z - np.float32(centre_z)
    # Below its centre the body is squeezed to a half of the ellipsoid above.
    below = np.float32(up / down)
    squeeze = np.where(height > 0, np.float32(1.0), below)
    radii_mm = (sideways + grow, front_to_back + grow, up + grow)
    ball = Ellipsoid((centre_x, centre_y, 0.0), radii_mm)
    return ball.distance(canvas.x, canvas.y, height * squeeze)


def face_distance(canvas: Canvas) -> np.ndarray:
    """Distance to what lies before and under the brain: orbits, nose, sphenoid with the clivus, skull base."""
    u, y, z = canvas.u, canvas.y, canvas.z

    # The clivus leans forward as it rises.
    clivus = y + 12.5 + 0.28 * z
    # Beside the clivus the skull base runs obliquely to the back, with the unit normal (-0.61, 0.79).
    beside_clivus = 0.79 * (y - 2.0) - 0.61 * (u - 23.0)
    back = smooth_union(clivus, beside_clivus + 5.0, 6.0)

    # The floor of the anterior fossa rises by 13 mm over 18 mm in front of the sella.
    rise = as_share((-28.0 - y) / 18.0)
    roof_height = 11.0 + 13.0 * rise
    roof = z - roof_height

    middle_fossa = MIDDLE_FOSSA.distance(u, y, z)
    return both(back, roof, -middle_fossa)


def both_petrous(canvas: Canvas, ears: tuple[Ear, Ear]) -> np.ndarray:
    """Signed distance in mm (Z, Y, X) to the petrous pyramid of each point's own side."""
    x, y, z = canvas.real
    left, right = ears
    to_left = petrous_distance(left, left.sign * x, y, z)
    to_right = petrous_distance(right, right.sign * x, y, z)
    return np.where(x > 0, to_left, to_right)


def paint_scalp_and_skull(canvas: Canvas, vault: np.ndarray, face: np.ndarray) -> None:
    """Skin, fat and muscle of the head, and over them the vault's bone with its marrow.

    Args:
        canvas: What to paint on.
        vault: Distance to the inner table (Z, Y, X), mm.
        face: Distance to the face (Z, Y, X), mm; no vault is painted there.
    """
    skin = vault_distance(canvas, HEAD_RADII)
    tissue = canvas.field("tissue")
    canvas.lay("skin", skin)
    canvas.lay("fat", skin + SKIN_MM)

    # The border between fat and muscle is uneven.
    fat_depth_mm = SKIN_MM + canvas.head.fat_mm
    canvas.lay("muscle", skin + fat_depth_mm + 0.8 * tissue)

    # Planes of fat between the muscles.
    planes = as_share(0.35 * (tissue - 0.9))
    canvas.lay("fat", skin + 3.0, planes)

    skull_mm = canvas.head.skull_mm
    above_face = canvas.cover(-face)
    canvas.lay("bone", vault - skull_mm, above_face)

    # Marrow in the middle of the bone, unevenly.
    from_middle = np.abs(vault - 0.5 * skull_mm)
    diploe = from_middle - 0.22 * skull_mm
    marrow_share = as_share(0.75 + 0.25 * tissue)
    canvas.paint(canvas.cover(diploe) * marrow_share * above_face, "marrow")


def paint_face(canvas: Canvas, face: np.ndarray) -> None:
    """Soft tissue, bones, air cells and orbits of the face.

    Args:
        canvas: What to paint on.
        face: Distance to the face (Z, Y, X), mm.
    """
    is_above = canvas.z.min() > ABOVE_FACE_Z_MM
    is_behind = canvas.y.min() > BEHIND_FACE_Y_MM
    if is_above or is_behind:
        return

    under_scalp = vault_distance(canvas, HEAD_RADII) + 8.0
    soft_tissue = canvas.cover(np.maximum(face, under_scalp))
    fat_share = as_share(0.5 + 0.9 * canvas.field("tissue"))
    canvas.paint(soft_tissue, "muscle")
    canvas.paint(soft_tissue * fat_share, "fat")

    # Bones and marrow first: the sinuses are hollows in them.
    for part in SPHENOID:
        canvas.fill(part)

    for cell in AIR_CELLS:
        _paint_lined_air(canvas, cell)
    for part in FACE_PARTS:
        canvas.fill_both(part)
    canvas.fill(PITUITARY)


def _paint_lined_air(canvas: Canvas, cell: Ellipsoid) -> None:
    """An air cell of the nose or its sinuses with its enhancing lining, thicker here and there."""
    mucosa = canvas.field("mucosa")
    window = canvas.near(cell.centre, max(cell.radii))
    if window is None:
        return

    # The lining is some 1.2 mm thick, and 0.4 mm at least.
    lining_mm = np.clip(1.2 + 1.2 * mucosa[window], 0.4, None)
    x = canvas.x[window]
    y = canvas.y[window]
    z = canvas.z[window]
    distance = cell.distance(x, y, z)
    canvas.lay("mucosa", distance, window=window)
    canvas.lay("air", distance + lining_mm, window=window)


def paint_temporal_bones(canvas: Canvas, cavity: np.ndarray) -> None:
    """Mastoid cells, marrow of the petrous apices, and the middle and outer ears.

    Args:
        canvas: What to paint on.
        cavity: Distance to the inside of the skull (Z, Y, X), mm; no cell reaches into it.
    """
    head = canvas.head
    in_bone = canvas.cover(1.5 - cavity)

    # Air cells of any size, some of them filled by swollen mucosa.
    cells = canvas.field("cells")
    aerated = as_share(head.aeration + 0.55 * cells)
    canvas.fill_both(MASTOID_AIR, within=aerated * in_bone)
    mucosa = canvas.field("mucosa")
    swollen = as_share(0.5 * (mucosa - 1.1))
    canvas.fill_both(MASTOID_MUCOSA, within=swollen * in_bone)

    for side, radius_mm in zip((1, -1), head.apex_marrow, strict=True):
        if radius_mm > 0:
            ball = Ellipsoid(APEX_CENTRE, (radius_mm, radius_mm, radius_mm))
            canvas.fill(Part("marrow", ball, radius_mm), side=side)

    for part in MIDDLE_EAR:
        canvas.fill_both(part)
