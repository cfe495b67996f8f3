"""What makes one head differ from the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.shapes import Waves

WAVELENGTHS_MM = {
    "warp_x": (35.0, 90.0),
    "warp_y": (35.0, 90.0),
    "warp_z": (35.0, 90.0),
    "rough": (9.0, 22.0),
    "fold": (11.0, 26.0),
    "folia": (14.0, 40.0),
    "mottle": (3.0, 12.0),
    "cells": (3.0, 7.0),
    "mucosa": (8.0, 20.0),
    "tissue": (9.0, 30.0),
}
"""Random fields of a head. Sampled in this order, which a seed's anatomy depends on."""
SCALE_SD_XYZ = (0.03, 0.03, 0.035)
LARGEST_SCALE = 0.08
"""How far a head's size differs from the mean at most."""
APEX_MARROW_SHARE = 0.33
"""Share of people with fatty marrow in a petrous apex."""


@dataclass(frozen=True)
class Head:
    """What makes one head differ from the next."""

    scale_xyz: np.ndarray
    """Size relative to the mean head, along x, y, z."""
    fat_mm: float
    """Thickness of the fat under the skin."""
    skull_mm: float
    """Thickness of the vault's bone."""
    cistern_mm: float
    """Depth of the subarachnoid space over the brain; wider with age."""
    aeration: float
    """Share of air in the mastoid, around 0.5."""
    apex_marrow: tuple[float, float]
    """Radius in mm of fatty marrow in the left and right petrous apex; it is there in a third of people."""
    sinus_mm: tuple[float, float]
    """Radius of the left and right sigmoid sinus."""
    basilar_bend_mm: float
    """How far the basilar artery bends sideways."""
    fields: dict[str, Waves]
    """Random fields by name, see `WAVELENGTHS_MM`."""


def sample_head(rng: np.random.Generator) -> Head:
    """A head with published sizes, varied by a few per cent."""
    deviation = rng.normal(0, SCALE_SD_XYZ)
    deviation = np.clip(deviation, -LARGEST_SCALE, LARGEST_SCALE)
    fat_mm = float(rng.uniform(2.5, 7.0))
    skull_mm = float(rng.uniform(5.0, 7.5))
    cistern_mm = float(rng.uniform(0.8, 2.5))
    aeration = float(rng.uniform(0.25, 0.75))
    left_marrow_mm = _sample_apex_marrow(rng)
    right_marrow_mm = _sample_apex_marrow(rng)
    left_sinus_mm, right_sinus_mm = rng.uniform(2.8, 5.2, 2)
    basilar_bend_mm = float(rng.normal(0, 2.5))

    fields = {}
    for name, wavelengths_mm in WAVELENGTHS_MM.items():
        fields[name] = Waves.sample(rng, wavelengths_mm)

    return Head(
        scale_xyz=1 + deviation,
        fat_mm=fat_mm,
        skull_mm=skull_mm,
        cistern_mm=cistern_mm,
        aeration=aeration,
        apex_marrow=(left_marrow_mm, right_marrow_mm),
        sinus_mm=(left_sinus_mm, right_sinus_mm),
        basilar_bend_mm=basilar_bend_mm,
        fields=fields,
    )


def _sample_apex_marrow(rng: np.random.Generator) -> float:
    """Radius in mm of the marrow in one petrous apex; 0 where there is none."""
    has_marrow = rng.random() < APEX_MARROW_SHARE
    return float(rng.uniform(3, 6)) if has_marrow else 0.0
