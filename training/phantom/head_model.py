"""What makes one head differ from the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.shapes import Waves


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
    """Random fields by name: warp_x/y/z, rough, fold, folia, mottle, cells, mucosa, tissue."""


def sample_head(rng: np.random.Generator) -> Head:
    """A head with published sizes, varied by a few per cent."""
    bands = {
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
    return Head(
        scale_xyz=1 + np.clip(rng.normal(0, (0.03, 0.03, 0.035)), -0.08, 0.08),
        fat_mm=float(rng.uniform(2.5, 7.0)),
        skull_mm=float(rng.uniform(5.0, 7.5)),
        cistern_mm=float(rng.uniform(0.8, 2.5)),
        aeration=float(rng.uniform(0.25, 0.75)),
        apex_marrow=tuple(float(rng.uniform(3, 6)) if rng.random() < 0.33 else 0.0 for _ in range(2)),
        sinus_mm=tuple(rng.uniform(2.8, 5.2, 2)),
        basilar_bend_mm=float(rng.normal(0, 2.5)),
        fields={name: Waves.sample(rng, band) for name, band in bands.items()},
    )
