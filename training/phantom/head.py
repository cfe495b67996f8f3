"""The head around the ears: scalp, skull, face, brain, cisterns, petrous bones and vessels, painted with soft edges.

Coordinates are millimetres in the head's frame: origin midway between the internal auditory canals, x to the left,
y to the back, z up; u = |x|. Dimensions are those of an adult head of 152 x 194 mm with an inner vault of 132 x 168 mm,
a pons of 25 mm from front to back and a posterior fossa some 110 mm wide, rounded from anatomy textbooks and scaled by
a few per cent per patient. Edges are covered as a plane through the voxel would cover it (see `shapes.coverage`).
"""

from __future__ import annotations

import numpy as np

from training.phantom.brain import paint_brain, paint_vessels
from training.phantom.canvas import Canvas, Part
from training.phantom.ear import Ear
from training.phantom.head_model import Head
from training.phantom.lattice import Lattice
from training.phantom.shapes import Ellipsoid, both, smooth_intersection, smooth_union
from training.phantom.skull import (
    INNER_VAULT,
    both_petrous,
    face_distance,
    paint_face,
    paint_scalp_and_skull,
    paint_temporal_bones,
    vault_distance,
)
from training.phantom.tumour_shape import Tumour

DURA_MM = 0.5
BASE_BONE_MM = 2.5
"""Thickness of the bone around the cavity."""
OCCIPITAL_CREST = Part("bone", Ellipsoid((0, 67, -8), (2.5, 8, 22)), reach_mm=24)


def paint_head(
    lattice: Lattice, head: Head, ears: tuple[Ear, Ear], signals: dict[str, float], mass: tuple[Ear, Tumour] | None
) -> np.ndarray:
    """Signal of everything but the canals, inner ears and tumour.

    Args:
        lattice: Points to paint at, in the head's frame.
        head: What makes this head differ from the mean one.
        ears: Left and right.
        signals: Signal of each tissue by its name.
        mass: The ear with a tumour, and the tumour: brain and cerebrospinal fluid make way for it.

    Returns:
        Signal (Z, Y, X), float32.
    """
    canvas = Canvas(lattice, head, signals)
    face = face_distance(canvas)
    petrous = both_petrous(canvas, ears)
    vault = vault_distance(canvas, INNER_VAULT)

    # What is left of the vault between face and petrous bones holds the brain; its walls are a little uneven.
    walls = smooth_union(face, petrous, 5.0)
    smooth_cavity = smooth_intersection(vault, -walls, 4.0)
    cavity = smooth_cavity + 0.4 * canvas.field("rough")

    # From the outside in: each tissue covers what was painted before it.
    paint_scalp_and_skull(canvas, vault, face)
    paint_face(canvas, face)

    petrous_in_skull = np.maximum(vault - head.skull_mm, petrous)
    canvas.lay("bone", petrous_in_skull)

    # The skull base reaches 12 mm below the canals and 32 mm before them.
    above_bottom = -12.0 - canvas.z
    behind_front = -32.0 - canvas.y
    skull_base = both(vault, face, above_bottom, behind_front)
    around_cavity = cavity - BASE_BONE_MM
    canvas.lay("bone", np.minimum(around_cavity, skull_base))
    paint_temporal_bones(canvas, cavity)

    canvas.lay("dura", cavity - DURA_MM)
    inside = canvas.cover(cavity)
    canvas.paint(inside, "csf")
    canvas.fill(OCCIPITAL_CREST)
    paint_brain(canvas, ears, cavity, mass)
    paint_vessels(canvas, inside)
    return canvas.image
