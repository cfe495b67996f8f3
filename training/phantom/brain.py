"""Brain, ventricles and vessels of a synthetic head, which make way for a tumour. Frame and sizes: see `head`."""

from __future__ import annotations

import numpy as np

from training.phantom.canvas import Canvas, Part
from training.phantom.ear import Ear
from training.phantom.lattice import EVERYWHERE, Point
from training.phantom.shapes import Capsule, Ellipsoid, Polyline, as_share, both, smooth_union
from training.phantom.skull import INNER_VAULT, VAULT_CENTRE
from training.phantom.tumour_shape import Tumour

Place = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Coordinates u, y, z in mm (Z, Y, X), where a tumour has pushed points away: where they came from."""

FOURTH_VENTRICLE = Ellipsoid((0, 22.0, -1), (7.5, 5.5, 14))
NODULE = Ellipsoid((0, 26.5, -3), (3.4, 5.5, 9))
"""Of the vermis, in the roof of the fourth ventricle."""
VENTRICLES = (
    (FOURTH_VENTRICLE, 15),
    (Ellipsoid((0, 0, 33), (2.2, 12, 9)), 13),
    (Ellipsoid((10, 0, 46), (7, 30, 9)), 32),
    (Ellipsoid((31, -10, 9), (1.6, 9, 2.2)), 33),
)
"""Fourth, third, lateral ventricles and temporal horns in (u, y, z), and the reach in mm over both sides."""
FARTHEST = np.float32(-1e3)
"""Where there is no film of fluid, mm."""

CEREBRUM_LOWEST_Z_MM = -10.0
"""Where no slab shows anything of the cerebrum."""
STEM_SPACE = Ellipsoid((0, 6, 0), (19, 26, 1e3))
"""What brainstem and cisterns take of the cerebrum: an upright cylinder, up to `STEM_SPACE_TOP_Z_MM`."""
SUPRASELLAR_CISTERN = Ellipsoid((0, -20, 16), (15, 12, 12))
STEM_SPACE_TOP_Z_MM = 30.0
CORTEX_MM = 3.0
SULCUS_DEPTH_MM = 9.0
SULCUS_WIDTH = 0.16
"""Of the random field whose zeros are the sulci."""

HEMISPHERE = Ellipsoid((28, 40.5, -6), (34, 32, 34))
VERMIS = Ellipsoid((0, 43, -2), (13, 19, 27))
FLOCCULUS = Ellipsoid((20.0, 11.0, -5), (3.6, 3.0, 3.0))
FOLIUM_MM, LOBULE_MM = 2.7, 8.1
"""Distance from one folium of the cerebellum to the next, and from one lobule to the next."""
FISSURE_MM = 3.5
"""Depth of a fissure between folia."""

PONS = Ellipsoid((0, 4.5, 3), (16.5, 12.5, 14))
MEDULLA = Capsule((0, 8, -12), (0, 14, -60), 8.5, 6.5)
MIDBRAIN = Ellipsoid((0, 5, 24), (16, 12, 13))
MIDDLE_PEDUNCLE = Capsule((9, 10, 1), (27, 26, -3), 8.5, 9.5)
BRAINSTEM_CENTRE, BRAINSTEM_REACH_MM = (0, 12, 0), 52
BRAINSTEM_LOWEST_Z_MM = -45.0
"""Below it the medulla leaves the ball in which the brainstem is looked for."""

TRIGEMINAL_NERVE = Capsule((12, -2, 6), (18, -15, 5), 1.7)
TRIGEMINAL_CENTRE, TRIGEMINAL_REACH_MM = (0, -8, 6), 21

VERTEBRAL = Part("blood", Capsule((11, 4, -55), (0.5, -3.5, -28), 1.5), reach_mm=16, around=(6, 0, -42))
CAROTID = Part(
    "blood",
    Polyline(((33, -10, -60), (31, -10, -12), (27, -12, -7), (15, -19, -2), (11, -22, 6), (10, -32, 11)), 2.5),
    reach_mm=48,
    around=(22, -22, -22),
)
CAVERNOUS_SINUS = Part("blood", Ellipsoid((11, -24, 7), (4, 9, 6)), reach_mm=9)
BASILAR_RADIUS_MM = 1.7
SINUS_ON_TABLE = ((92, 8, 2.0), (70, 9, 2.0), (48, 9, 2.0), (30, 6, 2.0), (25, -4, 4.0), (20, -14, 8.0))
"""Transverse and sigmoid sinus: angle from the left to the back in degrees, height in mm, and how far inward of the
inner table in mm."""
JUGULAR_BULB: tuple[Point, ...] = ((34.0, 8.0, -24.0), (30.0, 0.0, -30.0))


def paint_brain(canvas: Canvas, ears: tuple[Ear, Ear], cavity: np.ndarray, mass: tuple[Ear, Tumour] | None) -> None:
    """Cerebrum, cerebellum, brainstem, ventricles and the trigeminal nerves, around a tumour where there is one.

    Args:
        canvas: What to paint on.
        ears: Left and right: the cerebrum lies before their petrous bones, the cerebellum behind.
        cavity: Distance to the inside of the skull (Z, Y, X), mm.
        mass: The ear with a tumour, and the tumour.
    """
    x, y, z = _make_way(canvas, mass)
    place = (np.abs(x), y, z)

    # A film of fluid keeps the brain off a tumour as the cistern keeps it off the bone.
    cavity = np.maximum(cavity, _cleft(canvas, mass))
    tentorium = _tentorium_height(place)

    _paint_cerebrum(canvas, ears, cavity, place, tentorium)
    _paint_cerebellum(canvas, cavity, place, tentorium)
    _paint_brainstem(canvas, cavity, place)
    _paint_ventricles(canvas, place)
    _paint_trigeminal_nerves(canvas, cavity, place)


def _make_way(canvas: Canvas, mass: tuple[Ear, Tumour] | None) -> Place:
    """Where each brain point came from before a tumour grew, as in an incompressible medium pushed from one point.

    Half of the tumour's volume is taken to have displaced fluid only; what is left acts in the half space that bone
    leaves open, so twice as strongly.
    """
    if mass is None or mass[1].ball_radius == 0:
        return canvas.x, canvas.y, canvas.z

    ear, tumour = mass
    centre = ear.frame().point(tumour.ball_centre) * ear.mirror
    centre_x, centre_y, centre_z = centre.astype(np.float32)
    real_x, real_y, real_z = canvas.real
    offset_x = real_x - centre_x
    offset_y = real_y - centre_y
    offset_z = real_z - centre_z

    # A point at r came from r0 with r0^3 = r^3 - 3 V / (4 pi): the volume V that was pushed has moved through it.
    cube_mm3 = tumour.volume_mm3 * 3 / (4 * np.pi)
    squared = offset_x * offset_x + offset_y * offset_y + offset_z * offset_z
    cubed = np.maximum(squared, 1.0) ** 1.5
    pushed = np.float32(cube_mm3) / cubed
    kept = np.maximum(1 - pushed, 0)
    shrink = 1 - np.cbrt(kept)

    # Offsets are in real mm, the head's coordinates are scaled.
    scale_x, scale_y, scale_z = canvas.head.scale_xyz.astype(np.float32)
    x = canvas.x - shrink * offset_x / scale_x
    y = canvas.y - shrink * offset_y / scale_y
    z = canvas.z - shrink * offset_z / scale_z
    return x, y, z


def _cleft(canvas: Canvas, mass: tuple[Ear, Tumour] | None) -> np.ndarray:
    """Positive within the film of fluid between a tumour and the brain it indents, the sign of a tumour outside it.

    The film is 0.2 to 1.4 mm thick before the brain's own distance from every wall is added.
    """
    gap = np.full(canvas.u.shape, FARTHEST, dtype=np.float32)
    if mass is None:
        return gap

    ear, tumour = mass
    porus = ear.porus * ear.mirror
    window = canvas.lattice.near(porus, tumour.reach + 4.0)
    if window is None:
        return gap

    # In the frame of the tumour's own side.
    x, y, z = (values[window] for values in canvas.real)
    u = ear.sign * x
    frame = ear.frame()
    a, b, c = frame.local(u, y, z)
    distance = tumour.distance(a, b, c, frame.face_normal)

    # The gyri that it indents leave it a little more or less room.
    fold = canvas.field("fold")[window]
    film = np.clip(0.1 + 0.5 * fold, -0.3, 0.9)
    gap[window] = film - distance
    return gap


def _tentorium_height(place: Place) -> np.ndarray:
    """Height in mm of the tentorium over each point: a tent that rises from its rim to the middle and to the front."""
    u, y, _ = place
    # From the back (66 mm) to the front edge (18 mm).
    lift = as_share((66.0 - y) / 48.0)
    ridge = np.exp(-((u / 26.0) ** 2))
    return 10.0 + 25.0 * lift * ridge


def _paint_cerebrum(
    canvas: Canvas, ears: tuple[Ear, Ear], cavity: np.ndarray, place: Place, tentorium: np.ndarray
) -> None:
    u, y, z = place
    if z.max() < CEREBRUM_LOWEST_Z_MM:
        return

    # The temporal lobe lies before the petrous bones, of which the mean of both sides stands for either.
    left, right = ears
    angle = np.deg2rad(np.mean([left.petrous_angle_deg, right.petrous_angle_deg]))
    cosine = np.float32(np.cos(angle))
    sine = np.float32(np.sin(angle))
    pori = np.stack([left.porus, right.porus])
    porus_u, porus_y, _ = pori.mean(axis=0, dtype=np.float32)

    # Distance behind a plane through the pori along the posterior faces; the lobe ends 14 mm before it.
    behind_porus = (y - porus_y) * cosine - (u - porus_u) * sine
    before_petrous = behind_porus + 14.0

    # It goes down to the tentorium, and to the side of the midbrain beyond it.
    over_tentorium = tentorium + 1.5 - z
    beside_midbrain = 19.0 - u
    temporal = np.maximum(before_petrous, beside_midbrain)
    above = np.minimum(over_tentorium, temporal)

    # Room for the brainstem and its cisterns.
    below_top = z - STEM_SPACE_TOP_Z_MM
    level = np.zeros_like(z)
    stem_column = STEM_SPACE.distance(u, y, level)
    stem_space = np.maximum(stem_column, below_top)
    suprasellar_ball = SUPRASELLAR_CISTERN.distance(u, y, z)
    suprasellar = np.maximum(suprasellar_ball, below_top)

    # The falx parts the hemispheres, fluid parts them from the skull.
    beside_falx = 1.2 - u
    under_cistern = cavity + canvas.head.cistern_mm
    distance = both(under_cistern, above, beside_falx, -stem_space, -suprasellar)

    # Sulci are where a random field is zero, deepest at the surface.
    fold = canvas.field("fold")
    sulcus = np.exp(-((fold / SULCUS_WIDTH) ** 2))
    near_surface = as_share(1 + distance / 16.0)
    distance = distance + SULCUS_DEPTH_MM * sulcus * near_surface
    canvas.lay("grey", distance)

    # White matter under the cortex, with a little grey all through it.
    mottle = canvas.field("mottle")
    white_share = as_share(0.93 + 0.05 * mottle)
    canvas.lay("white", distance + CORTEX_MM, white_share)


def _paint_cerebellum(canvas: Canvas, cavity: np.ndarray, place: Place, tentorium: np.ndarray) -> None:
    u, y, z = place
    hemisphere = HEMISPHERE.distance(u, y, z)
    vermis = VERMIS.distance(u, y, z)
    flocculus = FLOCCULUS.distance(u, y, z)
    lobes = smooth_union(hemisphere, vermis, 5.0)
    outline = np.minimum(lobes, flocculus)

    # Between tentorium and skull.
    under_cistern = cavity + 0.6 * canvas.head.cistern_mm
    under_tentorium = z - tentorium + 1.5
    distance = both(outline, under_cistern, under_tentorium)

    # Folia are thin sheets around the front of the cerebellum: shells of that distance, bent at random. Deeper fissures
    # part the lobules; the white matter's branches follow these.
    sideways = 0.8 * u
    backward = y - 13
    upward = 1.1 * (z - 2)
    squared = sideways**2 + backward**2 + upward**2
    shells = np.sqrt(squared)
    bent = shells + 1.1 * canvas.field("folia")

    folium_phase = 2 * np.pi / FOLIUM_MM * bent
    lobule_phase = 2 * np.pi / LOBULE_MM * bent
    folia = np.cos(folium_phase)
    lobules = np.cos(lobule_phase + canvas.field("fold"))

    # A fissure is where the wave is near its top.
    between_folia = as_share(folia - 0.5)
    between_lobules = as_share(lobules - 0.8)
    fissure = between_folia + 3.0 * between_lobules

    near_surface = as_share(1 + distance / 12.0)
    depth_mm = FISSURE_MM * fissure * near_surface
    body = canvas.cover(distance + depth_mm)
    canvas.paint(body, "grey")

    # Fluid in the fissures that are too narrow for the voxels.
    in_folia = 0.14 * as_share(folia)
    in_lobules = 0.5 * as_share(lobules - 0.85)
    fluid_share = in_folia + in_lobules
    canvas.paint(body * near_surface * fluid_share, "csf")

    # White matter lies 9 mm deep and sends a branch into each lobule.
    white = distance + 9.0 + 3.5 * lobules
    white_share = as_share(0.85 - 0.15 * folia)
    canvas.lay("white", white, white_share)


def _paint_brainstem(canvas: Canvas, cavity: np.ndarray, place: Place) -> None:
    is_high = place[2].min() > BRAINSTEM_LOWEST_Z_MM
    window = canvas.near(BRAINSTEM_CENTRE, BRAINSTEM_REACH_MM) if is_high else EVERYWHERE
    if window is None:
        return

    u, y, z = (values[window] for values in place)
    pons = PONS.distance(u, y, z)
    medulla = MEDULLA.distance(u, y, z)
    midbrain = MIDBRAIN.distance(u, y, z)
    peduncle = MIDDLE_PEDUNCLE.distance(u, y, z)

    # From the pons outward, so that each crease is filled.
    lower = smooth_union(pons, medulla, 4.0)
    upper = smooth_union(lower, midbrain, 4.0)
    whole = smooth_union(upper, peduncle, 3.0)
    under_cistern = cavity[window] + 0.5
    stem = np.maximum(whole, under_cistern)

    # White matter with grey nuclei all through it, under a rim of white.
    canvas.lay("white", stem, window=window)
    mottle = canvas.field("mottle")[window]
    grey_share = as_share(0.45 + 0.15 * mottle)
    canvas.lay("grey", stem + 1.0, grey_share, window)


def _paint_ventricles(canvas: Canvas, place: Place) -> None:
    for ventricle, reach_mm in VENTRICLES:
        _, middle_y, middle_z = ventricle.centre
        window = canvas.near((0, middle_y, middle_z), reach_mm)
        if window is None:
            continue

        u, y, z = (values[window] for values in place)
        distance = ventricle.distance(u, y, z)
        if ventricle is FOURTH_VENTRICLE:
            distance = both(distance, -NODULE.distance(u, y, z))
        canvas.lay("csf", distance, window=window)


def _paint_trigeminal_nerves(canvas: Canvas, cavity: np.ndarray, place: Place) -> None:
    window = canvas.near(TRIGEMINAL_CENTRE, TRIGEMINAL_REACH_MM)
    if window is None:
        return

    u, y, z = (values[window] for values in place)
    nerve = TRIGEMINAL_NERVE.distance(u, y, z)
    inside_skull = np.maximum(nerve, cavity[window])
    canvas.lay("nerve", inside_skull, window=window)


def paint_vessels(canvas: Canvas, inside: np.ndarray) -> None:
    """Basilar, vertebral and carotid arteries, cavernous, transverse and sigmoid sinuses.

    Args:
        canvas: What to paint on.
        inside: Share of each voxel (Z, Y, X) inside the skull, which the basilar artery does not leave.
    """
    bend_mm = canvas.head.basilar_bend_mm
    basilar_points = (
        (0, -3.5, -28),
        (bend_mm, -6.5, -14),
        (-0.6 * bend_mm, -10.0, 2),
        (0, -12.5, 16),
    )
    basilar = Polyline(basilar_points, BASILAR_RADIUS_MM)
    part = Part("blood", basilar, reach_mm=27, around=(0, -8, -6))
    canvas.fill(part, within=inside)

    canvas.fill_both(VERTEBRAL)
    canvas.fill_both(CAROTID)
    canvas.fill_both(CAVERNOUS_SINUS)

    # Each side has its own width.
    points = _sinus_points()
    for side, radius_mm in zip((1, -1), canvas.head.sinus_mm, strict=True):
        sinus = Polyline(points, radius_mm)
        part = Part("blood", sinus, reach_mm=62, around=(35, 32, -6))
        canvas.fill(part, side=side)


def _sinus_points() -> tuple[Point, ...]:
    """Transverse and sigmoid sinus on the inner table, then in to the jugular bulb."""
    centre_x, centre_y, centre_z = VAULT_CENTRE
    sideways, front_to_back, _, down = INNER_VAULT
    points: list[Point] = []

    for angle_deg, z, inward_mm in SINUS_ON_TABLE:
        # The inner table's outline shrinks with the distance from the middle of the vault.
        height = (z - centre_z) / down
        ring = np.sqrt(1 - height**2)

        angle = np.deg2rad(angle_deg)
        radius_x = sideways * ring - inward_mm
        radius_y = front_to_back * ring - inward_mm
        x = centre_x + radius_x * np.cos(angle)
        y = centre_y + radius_y * np.sin(angle)
        points.append((float(x), float(y), float(z)))
    return (*points, *JUGULAR_BULB)
