"""An image on a lattice in a head, painted one tissue over the other with soft edges."""

from __future__ import annotations

import numpy as np

from training.phantom.head_model import Head
from training.phantom.shapes import EVERYWHERE, Lattice, Window, coverage


class Canvas:
    """An image on a lattice, painted one tissue over the other."""

    def __init__(self, lattice: Lattice, head: Head, signals: dict[str, float]) -> None:
        self.lattice, self.head, self.signals = lattice, head, signals
        self.width = float(np.mean(lattice.spacing_zyx))
        self.real = lattice.points()
        scale = head.scale_xyz.astype(np.float32)
        warps = (head.fields[f"warp_{axis}"].on(lattice) for axis in "xyz")
        self.x, self.y, self.z = (v / s + np.float32(0.9) * w for v, s, w in zip(self.real, scale, warps, strict=True))
        self.u = np.abs(self.x)
        self.image = np.zeros(lattice.size_zyx, dtype=np.float32)
        self._fields: dict[str, np.ndarray] = {}

    def field(self, name: str) -> np.ndarray:
        """One of the head's random fields here, made once."""
        if name not in self._fields:
            self._fields[name] = self.head.fields[name].on(self.lattice)
        return self._fields[name]

    def near(self, centre, radius_mm: float) -> Window | None:
        """Window of what a ball in scaled coordinates may touch, warps and a tumour's push included."""
        return self.lattice.near(np.asarray(centre) * self.head.scale_xyz, 1.05 * radius_mm + 6.0)

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each voxel inside a surface."""
        return coverage(distance, self.width)

    def paint(self, share: np.ndarray, tissue: str, window: Window = EVERYWHERE) -> None:
        """Lay `tissue` over `share` of every voxel in a window."""
        view = self.image[window]
        view += share * (np.float32(self.signals[tissue]) - view)

    def fill(self, tissue: str, shape, centre, radius_mm: float, within: np.ndarray | None = None) -> None:
        """Lay `tissue` over `shape(x, y, z)`, which lies in the ball around `centre` (scaled coordinates)."""
        window = self.near(centre, radius_mm)
        if window is None:
            return
        share = self.cover(shape(self.x[window], self.y[window], self.z[window]))
        self.paint(share if within is None else share * within[window], tissue, window)

    def fill_both(self, tissue: str, shape, centre, radius_mm: float, within: np.ndarray | None = None) -> None:
        """`fill` on both sides: `shape` and `centre` are given for the left one (x > 0)."""
        for sign in (1, -1):
            mirrored = (sign * centre[0], *centre[1:])
            self.fill(tissue, lambda x, y, z, s=sign: shape(s * x, y, z), mirrored, radius_mm, within)
