"""Where in an axial slice the inner ears lie, told from the outline of the head alone, on T1 and T2 alike.

The outline is what all contrasts and fields of view have in common, and the back of the head is what no protocol of the
posterior fossa leaves out. So the finder needs no training and no atlas, and costs a fraction of a second: the middle
lies on the head's midline, a fixed way in front of its back.
"""

from __future__ import annotations

import numpy as np

from vestibule.head import head_outline
from vestibule.volume import Volume

BACK_TO_EARS_MM = 82.0
"""From the back of the head to the middle of the region. Cochleae begin 8 to 20 mm in front of it and the largest
tumours end as far behind it: measured on drawn heads, and seen to hold on real ones of adults."""
CHORD_MM = 30.0
"""The head's back is the last row in which the head is at least so wide; what sticks out farther is no head."""
HEAD_WIDTH_MM = (100.0, 210.0)
"""Widths of heads, ears included; an outline of another width is none."""
LENGTH_TO_WIDTH = 1.25
"""A head's outline is taken for an ellipse with these proportions where the image cuts off its back."""
CUT_CHORD = 0.75
"""Where the image cuts the head at more than this share of its width, its back cannot be told."""


def find_ears(oriented: Volume) -> tuple[float, float] | None:
    """Middle (y, x) in voxels of the region that holds both inner ears, in every slice of an LPS-oriented volume.

    None where no outline of a head is seen or too much of its back is cut off.
    """
    head, coarse_voxels = head_outline(oriented, "blocks")
    step_zyx = np.asarray(oriented.geometry.spacing_zyx) * coarse_voxels
    areas = head.sum(axis=(1, 2))
    slices = [rows for rows in map(_Rows, head[areas >= 0.5 * areas.max()]) if rows.present.any()]
    if not slices:
        return None
    step_y, step_x = step_zyx[1:]
    width = float(np.percentile([rows.width.max() for rows in slices], 75)) * step_x
    backs = [_back_mm(rows, head.shape[1], step_y, step_x) for rows in slices]
    backs = [back for back in backs if back is not None]
    if not HEAD_WIDTH_MM[0] <= width <= HEAD_WIDTH_MM[1] or 2 * len(backs) < len(slices):
        return None
    # The upper quartile, so that slices through the neck do not count.
    y_mm = float(np.percentile(backs, 75)) - BACK_TO_EARS_MM
    x_mm = _midline(slices, head.shape[2]) * step_x
    spacing_y, spacing_x = oriented.geometry.spacing_zyx[1:]
    if not 0 < y_mm < oriented.geometry.size_zyx[1] * spacing_y:
        return None
    return y_mm / spacing_y - 0.5, x_mm / spacing_x - 0.5


class _Rows:
    """Extent of the head in each row of a slice (Y, X), in voxels from the image's edge; rows without head are 0."""

    def __init__(self, head: np.ndarray) -> None:
        self.present = head.any(axis=1)
        self.first = head.argmax(axis=1)
        self.stop = np.where(self.present, head.shape[1] - head[:, ::-1].argmax(axis=1), 0)
        self.width = np.where(self.present, self.stop - self.first, 0)


def _back_mm(rows: _Rows, size_y: int, step_y: float, step_x: float) -> float | None:
    """How far behind the image's front edge the head ends, in mm; what the image cuts off is estimated.

    None where it cuts off too much, or nothing is as wide as a head.
    """
    wide = np.nonzero(rows.width * step_x >= CHORD_MM)[0]
    if wide.size == 0:
        return None
    last = int(wide[-1])
    back = (last + 1) * step_y
    if last < size_y - 1:
        return back
    width = float(rows.width.max()) * step_x
    chord = float(rows.width[last]) * step_x / width
    if chord > CUT_CHORD:
        return None
    return back + LENGTH_TO_WIDTH * width / 2 * (1 - float(np.sqrt(1 - chord**2)))


def _midline(slices: list[_Rows], size_x: int) -> float:
    """Median over rows of the middle between the head's two sides, in voxels from the image's edge."""
    first = np.concatenate([rows.first[rows.present] for rows in slices])
    stop = np.concatenate([rows.stop[rows.present] for rows in slices])
    uneven = (first == 0) != (stop == size_x)
    whole = ~uneven if not uneven.all() else np.ones_like(uneven)
    return float(np.median(first[whole] + stop[whole])) / 2
