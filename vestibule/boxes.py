"""The smallest box around what is not 0 in an array: most of a mask is background that nothing need look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[slice, slice, slice]
"""Slices along z, y and x, each with a start and a stop."""


def bounding_box(voxels: np.ndarray) -> Box | None:
    """Find the smallest box that holds every voxel that is not 0.

    Args:
        voxels: Mask, labels or intensities (Z, Y, X) of any boolean, integer or real type.

    Returns:
        The box, or None where all voxels are 0.
    """
    footprint = _footprint(voxels)  # (Y, X)
    rows = np.flatnonzero(footprint.any(axis=1))
    columns = np.flatnonzero(footprint.any(axis=0))
    if rows.size == 0:
        return None
    y = _span(rows)
    x = _span(columns)

    # From both ends, in the columns found above alone: what lies between two slices need not be looked at.
    inside = voxels[:, y, x]
    first, stop = 0, len(inside)
    while not inside[first].any():
        first += 1
    while not inside[stop - 1].any():
        stop -= 1
    return slice(first, stop), y, x


def union_of(*boxes: Box) -> Box:
    """The smallest box that holds all of `boxes`, of which there is at least one."""
    sides = []
    for axis in range(3):
        start = min(box[axis].start for box in boxes)
        stop = max(box[axis].stop for box in boxes)
        sides.append(slice(start, stop))
    z, y, x = sides
    return z, y, x


def widened(box: Box, margin_zyx: Sequence[int], size_zyx: Sequence[int]) -> Box:
    """The box with a margin of so many voxels on every side, as far as an array of `size_zyx` goes."""
    sides = []
    for side, margin, size in zip(box, margin_zyx, size_zyx, strict=True):
        start = max(0, side.start - margin)
        stop = min(size, side.stop + margin)
        sides.append(slice(start, stop))
    z, y, x = sides
    return z, y, x


def _span(indices: np.ndarray) -> slice:
    """From the first to the last of some ascending indices."""
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1)


def _footprint(voxels: np.ndarray) -> np.ndarray:
    """What is not 0 in any slice: (Z, Y, X) -> (Y, X)."""
    dtype = voxels.dtype
    bits = voxels
    # A union of bits is the one reduction that is fast for every type, and that negative values do not cancel.
    if dtype.kind in ("b", "f"):
        bits = voxels.view(f"u{dtype.itemsize}")
    union = np.bitwise_or.reduce(bits, axis=0)
    if dtype.kind == "f":
        # A real number's topmost bit is its sign, and -0.0 is 0.
        union = union << 1
    return union
