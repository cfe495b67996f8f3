"""The signal of a schwannoma at any points, in a synthetic head and in a real one alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.phantom.shapes import along
from training.phantom.signals import Sequence, tissue_signal
from training.phantom.tissues import TISSUES
from training.phantom.tumour_shape import CanalFrame, Tumour

SIGNAL_REACH_MM = 1.0
"""How far beyond a tumour's surface its signal is given: partial volume needs it there."""
LOOSE_GADOLINIUM = 0.55
"""Concentration in loose tissue relative to dense tissue, as `tissues.TISSUES` has them. A choice."""


def tumour_on(
    tumour: Tumour, frame: CanalFrame, sequence: Sequence, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tumour at points given in its frame's space: signed distance in mm, its signal, and what is out of the bone.

    Works in a synthetic head and in a real one alike.

    Args:
        tumour: The tumour.
        frame: Where its canal lies.
        sequence: Whose signal is wanted.
        x: First coordinates of the points, mm.
        y: Second coordinates, mm.
        z: Third coordinates, mm.

    Returns:
        Distances in mm, signals, and whether a point lies out of the bone (bool), each in the points' shape. Signals
        are given within 1 mm of the tumour and are 0 elsewhere.
    """
    a, b, c = frame.local(x, y, z)
    distance = tumour.distance(a, b, c, frame.face_normal)

    # Texture is costly, so it is evaluated where there is a tumour only.
    inside = distance < SIGNAL_REACH_MM
    at = (a[inside], b[inside], c[inside])

    # Every tumour takes up its own amount of contrast agent.
    dense_mmol_l = tumour.gadolinium_mmol_l
    loose_mmol_l = LOOSE_GADOLINIUM * dense_mmol_l
    dense = replace(TISSUES["schwannoma"], gadolinium_mmol_l=dense_mmol_l)
    loose = replace(TISSUES["schwannoma_loose"], gadolinium_mmol_l=loose_mmol_l)
    dense_signal = tissue_signal(sequence, dense)
    loose_signal = tissue_signal(sequence, loose)

    loose_share = tumour.loose_share(*at)
    value = (1 - loose_share) * dense_signal + loose_share * loose_signal
    if tumour.cysts:
        in_cyst = tumour.cyst_distance(*at) < 0
        cyst_signal = tissue_signal(sequence, TISSUES["cyst"])
        value = np.where(in_cyst, cyst_signal, value)
    values = np.zeros(inside.shape, dtype=np.float32)
    values[inside] = value

    outside_bone = along(frame.face_normal, a, b, c) > 0
    return distance, values, outside_bone
