"""Sampling a schwannoma of a wanted volume for a canal; its shape is in `tumour_shape`.

Published figures it rests on: volumes of the challenge's labels, 44 to 9801 mm3. 62 % of 89 tumours enhance
homogeneously, small ones nearly all, larger ones less (MRI of acoustic schwannoma: a retrospective study of 89 tumours,
Rofo 1993). 11.3 % are cystic, two thirds of them with a single cyst, all with an enhancing wall (Tali et al., Cystic
acoustic schwannomas: MR characteristics, AJNR 1993). Gadolinium about halves their T1 (text of a neuroradiology course,
University of California San Diego). How the classes change with size is a choice that gives those means.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.phantom.shapes import Waves, unit
from training.phantom.tumour_shape import TAPER, USUAL_FACE_NORMAL, Tumour, measure_volume

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
LARGEST_WIDENING = 0.35
"""By how much of its radius a tumour widens its canal at most."""
WIDENING_MM3 = 4000.0
"""Volume from which on a tumour may widen its canal so much; a smaller one does in proportion."""
BALL_SHAPE = ((0.85, 0.95, 0.85), (1.05, 1.25, 1.15))
"""Range of the ball's relative radii: it is longest along the bone."""
BALL_OFFSET = ((-0.85, -0.1, -0.2), (-0.45, 0.35, 0.2))
"""Range of the ball's centre from the porus, in ball radii: out of the canal and a little to the back."""
RELIEF = (0.01, 0.05)
"""Range of the surface relief, in ball radii."""
VOLUME_TOLERANCE = 0.005
"""How near to the wanted volume a shape must come."""
MOST_STEPS = 12
"""Steps of the search for it."""
ROD_ALONE = 0.9
"""A rod that holds this share of the wanted volume needs no ball."""


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
