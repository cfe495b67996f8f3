"""Where a picture lies in the patient: which side its edges face, by the direction cosines, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vestibule.geometry import Geometry

SIDES = (("L", "R"), ("P", "A"), ("S", "I"))
"""Letters of left and right, back and front, head and feet: towards and against ITK's axes."""
SCALES_MM = (100, 50, 20, 10, 5, 2, 1)
"""Lengths that a scale bar may have."""
SCALE_SHARE = 1 / 3
"""Share of a picture's width that a scale bar takes at most."""


@dataclass(frozen=True)
class Plane:
    """The plane of an axial picture."""

    right_lps: tuple[float, float, float]
    """Where the picture's columns run to in the patient, a unit vector in ITK's LPS."""
    down_lps: tuple[float, float, float]
    """Where its rows run to."""
    pixel_yx_mm: tuple[float, float]
    """Height and width of a pixel."""

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        height_mm, width_mm = self.pixel_yx_mm
        return height_mm / width_mm

    @property
    def edges(self) -> tuple[str, str, str, str]:
        """Letters of the sides that the picture's left, right, upper and lower edges face."""
        right = np.array(self.right_lps)
        down = np.array(self.down_lps)
        left_side = side_of(-right)
        right_side = side_of(right)
        upper_side = side_of(-down)
        lower_side = side_of(down)
        return left_side, right_side, upper_side, lower_side


def plane_of(geometry: Geometry) -> Plane:
    """The plane of a volume's slices, as they are shown row by row."""
    right = geometry.matrix[:, 0]
    down = geometry.matrix[:, 1]
    _, height_mm, width_mm = geometry.spacing_zyx
    return Plane(
        right_lps=tuple(right.tolist()),
        down_lps=tuple(down.tolist()),
        pixel_yx_mm=(height_mm, width_mm),
    )


def side_of(direction_lps: np.ndarray) -> str:
    """Letter of the side of the patient, of six, that a direction (3,) in ITK's LPS is nearest to."""
    lengths = np.abs(direction_lps)
    axis = int(lengths.argmax())
    towards, against = SIDES[axis]
    return towards if direction_lps[axis] > 0 else against


def scale_of(width_mm: float) -> float:
    """Length in mm of the scale bar of a picture of this width; 0 where the picture is too narrow for any."""
    longest_mm = width_mm * SCALE_SHARE
    for length in SCALES_MM:
        if length <= longest_mm:
            return float(length)
    return 0.0
