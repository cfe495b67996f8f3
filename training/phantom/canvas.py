"""An image on a lattice in a head, painted one tissue over the other with soft edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.phantom.head_model import Head
from training.phantom.lattice import EVERYWHERE, Lattice, Point, PointLike, Window
from training.phantom.shapes import Ellipsoid, Shape, coverage

WARP_MM = 0.9
"""How far the head's random fields bend its coordinates, one standard deviation."""
REACH_FACTOR, REACH_MARGIN_MM = 1.05, 6.0
"""How much further than a shape's own ball it is looked for: scale, warps and a tumour's push may carry it there."""

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Signed distance in mm at points x, y, z."""


@dataclass(frozen=True)
class Part:
    """A part of the head: a shape of one tissue, in scaled coordinates."""

    tissue: str
    shape: Shape
    reach_mm: float
    """Radius of a ball that holds the shape."""
    around: Point | None = None
    """Middle of that ball; an ellipsoid's own centre where it is not given."""

    @property
    def middle(self) -> Point:
        """Middle of the ball that holds the shape."""
        if self.around is not None:
            return self.around
        if isinstance(self.shape, Ellipsoid):
            return self.shape.centre
        raise ValueError(f"a part of {self.tissue} that is no ellipsoid needs the middle of its ball")


class Canvas:
    """An image on a lattice, painted one tissue over the other.

    Args:
        lattice: Its points, in the head's frame.
        head: What the anatomy is scaled and warped by.
        signals: Signal of each tissue by its name.
    """

    def __init__(self, lattice: Lattice, head: Head, signals: dict[str, float]) -> None:
        self.lattice = lattice
        self.head = head
        self.signals = signals
        self.width = float(np.mean(lattice.spacing_zyx))
        """Mean spacing in mm, over which edges are soft."""
        self.real = lattice.points()
        """Coordinates x, y, z in mm, each (Z, Y, X)."""
        self.image = np.zeros(lattice.size_zyx, dtype=np.float32)
        """Signal of what has been painted (Z, Y, X)."""
        self._fields: dict[str, np.ndarray] = {}

        # Scaled coordinates: where each point lies in the mean head, in which anatomy is given.
        scaled = []
        scale_xyz = head.scale_xyz.astype(np.float32)
        for axis, values, scale in zip("xyz", self.real, scale_xyz, strict=True):
            warp = self.field(f"warp_{axis}")
            scaled.append(values / scale + WARP_MM * warp)

        self.x, self.y, self.z = scaled
        self.u = np.abs(self.x)
        """Distance from the midline."""

    def field(self, name: str) -> np.ndarray:
        """One of the head's random fields here (Z, Y, X), made once."""
        if name not in self._fields:
            waves = self.head.fields[name]
            self._fields[name] = waves.on(self.lattice)
        return self._fields[name]

    def near(self, centre: PointLike, radius_mm: float) -> Window | None:
        """Window of what a ball in scaled coordinates may touch, warps and a tumour's push included."""
        real_centre = np.asarray(centre) * self.head.scale_xyz
        reach_mm = REACH_FACTOR * radius_mm + REACH_MARGIN_MM
        return self.lattice.near(real_centre, reach_mm)

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each voxel inside a surface."""
        return coverage(distance, self.width)

    def lay(
        self, tissue: str, distance: np.ndarray, share: np.ndarray | None = None, window: Window = EVERYWHERE
    ) -> None:
        """Lay a tissue inside a surface, over what is there.

        Args:
            tissue: Its name.
            distance: Signed distance in mm to the surface, of the window's shape.
            share: Share of each voxel of the window that it takes of the inside; by default all.
            window: Where.
        """
        inside = self.cover(distance)
        if share is not None:
            inside = inside * share
        self.paint(inside, tissue, window)

    def paint(self, share: np.ndarray, tissue: str, window: Window = EVERYWHERE) -> None:
        """Lay `tissue` over `share` of every voxel in a window."""
        view = self.image[window]
        signal = np.float32(self.signals[tissue])
        view += share * (signal - view)

    def fill(self, part: Part, within: np.ndarray | None = None, side: int = 1) -> None:
        """Lay a part of the head over what is there.

        Args:
            part: What to lay.
            within: Share of each voxel (Z, Y, X) to lay it over; by default all.
            side: -1 for its mirror image on the other side of the head.
        """
        middle_x, middle_y, middle_z = part.middle
        window = self.near((side * middle_x, middle_y, middle_z), part.reach_mm)
        if window is None:
            return

        # A part of the right side is one of the left at mirrored points.
        x = self.x[window]
        if side < 0:
            x = -x
        y = self.y[window]
        z = self.z[window]
        distance = part.shape.distance(x, y, z)
        share = None if within is None else within[window]
        self.lay(part.tissue, distance, share, window)

    def fill_both(self, part: Part, within: np.ndarray | None = None) -> None:
        """Lay a part, given for the left (x > 0), over both sides of the head."""
        self.fill(part, within, side=1)
        self.fill(part, within, side=-1)
