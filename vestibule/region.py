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
TOLERANCE_MM = 1e-3
"""Lengths that differ by less are one; several voxels together have many times the rounding of their spacing."""
TOLERANCE_OF_CHORD = 1e-6
LARGE_SLICE = 0.5
"""Slices count that show at least this share of the head's largest cross-section."""


def find_ears(oriented: Volume) -> tuple[float, float] | None:
    """Middle (y, x) in voxels of the region that holds both inner ears, in every slice of an LPS-oriented volume.

    None where no outline of a head is seen or too much of its back is cut off.
    """
    head, voxels_each = head_outline(oriented, "blocks")
    _, size_y, size_x = head.shape
    _, spacing_y, spacing_x = oriented.geometry.spacing_zyx
    step_y = spacing_y * voxels_each[1]  # mm
    step_x = spacing_x * voxels_each[2]

    areas = head.sum(axis=(1, 2))
    is_large = areas >= LARGE_SLICE * areas.max()
    slices = []
    for outline in head[is_large]:
        rows = _Rows(outline)
        if rows.present.any():
            slices.append(rows)
    if not slices:
        return None

    # The upper quartile of widths and of backs, so that slices through the neck do not count.
    widths = [rows.width.max() for rows in slices]
    width_mm = float(np.percentile(widths, 75)) * step_x
    narrowest, widest = HEAD_WIDTH_MM
    if not narrowest - TOLERANCE_MM <= width_mm <= widest + TOLERANCE_MM:
        return None
    backs_mm = []
    for rows in slices:
        back_mm = _back_mm(rows, size_y, step_y, step_x)
        if back_mm is not None:
            backs_mm.append(back_mm)
    if 2 * len(backs_mm) < len(slices):
        return None

    head_back_mm = float(np.percentile(backs_mm, 75))
    y_mm = head_back_mm - BACK_TO_EARS_MM
    x_mm = _midline(slices, size_x) * step_x
    length_mm = oriented.geometry.size_zyx[1] * spacing_y
    if not 0 < y_mm < length_mm:
        return None
    # From millimetres behind the image's edge to indices, which count from the first voxel's middle.
    return y_mm / spacing_y - 0.5, x_mm / spacing_x - 0.5


class _Rows:
    """Extent of the head in each row of a slice (Y, X), in voxels from the image's edge; rows without head are 0."""

    def __init__(self, head: np.ndarray) -> None:
        _, size_x = head.shape
        self.present = head.any(axis=1)
        self.first = head.argmax(axis=1)
        from_far_side = head[:, ::-1].argmax(axis=1)
        self.stop = np.where(self.present, size_x - from_far_side, 0)
        self.width = np.where(self.present, self.stop - self.first, 0)


def _back_mm(rows: _Rows, size_y: int, step_y: float, step_x: float) -> float | None:
    """How far behind the image's front edge the head ends, in mm; what the image cuts off is estimated.

    None where it cuts off too much, or nothing is as wide as a head.
    """
    width_mm = rows.width * step_x
    wide = np.flatnonzero(width_mm >= CHORD_MM - TOLERANCE_MM)
    if wide.size == 0:
        return None
    last = int(wide[-1])
    back_mm = (last + 1) * step_y
    if last < size_y - 1:
        return back_mm

    # The image ends within the head: the last row is a chord of an ellipse, whose rest is what is missing.
    widest_mm = float(width_mm.max())
    chord = float(width_mm[last]) / widest_mm
    if chord > CUT_CHORD + TOLERANCE_OF_CHORD:
        return None
    half_length_mm = LENGTH_TO_WIDTH * widest_mm / 2
    seen = float(np.sqrt(1 - chord**2))
    return back_mm + half_length_mm * (1 - seen)


def _midline(slices: list[_Rows], size_x: int) -> float:
    """Median over rows of the middle between the head's two sides, in voxels from the image's edge."""
    firsts, stops = [], []
    for rows in slices:
        firsts.append(rows.first[rows.present])
        stops.append(rows.stop[rows.present])
    first = np.concatenate(firsts)
    stop = np.concatenate(stops)

    # A row that the image cuts off on one side alone has its middle elsewhere.
    at_near_edge = first == 0
    at_far_edge = stop == size_x
    whole = at_near_edge == at_far_edge
    if not whole.any():
        whole = np.ones_like(whole)
    twice_middle = first[whole] + stop[whole]
    return float(np.median(twice_middle)) / 2
