"""The smallest box around what is not 0 in an array: most of a mask is background that nothing need look at."""

from __future__ import annotations

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
    y = slice(int(rows[0]), int(rows[-1]) + 1)
    x = slice(int(columns[0]), int(columns[-1]) + 1)

    # From both ends, in the columns found above alone: what lies between two slices need not be looked at.
    inside = voxels[:, y, x]
    first, stop = 0, len(inside)
    while not inside[first].any():
        first += 1
    while not inside[stop - 1].any():
        stop -= 1
    return slice(first, stop), y, x


def _footprint(voxels: np.ndarray) -> np.ndarray:
    """What is not 0 in any slice: (Z, Y, X) -> (Y, X)."""
    kind, bytes_each = voxels.dtype.kind, voxels.dtype.itemsize
    # A union of bits is the one reduction that is fast for every type, and that negative values do not cancel.
    bits = voxels.view(f"u{bytes_each}") if kind in "bf" else voxels
    union = np.bitwise_or.reduce(bits, axis=0)
    # A real number's topmost bit is its sign, and -0.0 is 0.
    return union << 1 if kind == "f" else union
