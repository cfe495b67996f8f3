"""Linear interpolation along an array's own axes, as a sparse matrix for each: it costs a fraction of a free one.

Between grids whose axes are parallel a voxel's neighbours differ from axis to axis only. So the smoothing and the
interpolation along an axis are one matrix with a few numbers a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

REACH = 6
"""Standard deviations beyond which a Gaussian adds nothing that float32 holds."""
EDGE = 0.5 + 1e-4
"""Voxels from the middle of the first or last voxel to the image's edge, and what rounding may add: that of a
spacing in float32, over a thousand voxels."""


def axis_weights(positions: np.ndarray, size: int, sigma: float = 0.0) -> sparse.csr_array:
    """What each voxel of an axis adds at positions along it.

    Args:
        positions: Where values are wanted, in voxels (N,).
        size: Voxels of the axis.
        sigma: Standard deviation in voxels of a Gaussian by which the voxels are smoothed before; beyond the edge the
            last voxel goes on.

    Returns:
        Weights float32 (N, `size`). Rows add up to one, and are empty where a position lies farther out than the edge
        of the first or last voxel.
    """
    low, high = -EDGE, size - 1 + EDGE
    inside = (positions >= low) & (positions <= high)
    rows = np.flatnonzero(inside)

    # The voxel before each position, and the next one's share.
    place = np.clip(positions[inside], 0, size - 1)
    last_but_one = max(size - 2, 0)
    first = np.floor(place).astype(int)
    first = np.minimum(first, last_but_one)[:, None]  # (rows, 1)
    share = place[:, None] - first

    reach = int(np.ceil(REACH * sigma))
    steps = np.arange(-reach, reach + 1)
    gaussian = np.ones(1)
    if sigma:
        gaussian = np.exp(-0.5 * (steps / sigma) ** 2)
        gaussian /= gaussian.sum()

    # Each of the two voxels is a mean over its surroundings.
    of_first = gaussian * (1 - share)
    of_second = gaussian * share
    weights = np.concatenate([of_first, of_second], axis=1)  # (rows, 2 x steps)
    around_first = first + steps
    around_second = around_first + 1
    columns = np.concatenate([around_first, around_second], axis=1)
    # Beyond the edge, the last voxel goes on.
    columns = np.clip(columns, 0, size - 1)

    # Columns that meet at the edge are added up on the way from one form to the other.
    each_row = np.repeat(rows, weights.shape[1])
    places = (each_row, columns.ravel())
    entries = sparse.coo_array(
        (weights.ravel(), places),
        shape=(len(positions), size),
    )
    matrix = sparse.csr_array(entries, dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


def along_axes(voxels: np.ndarray, weights: Sequence[sparse.csr_array], outside: float) -> np.ndarray:
    """Weight an array along each of its axes.

    Args:
        voxels: (Z, Y, X) of any type.
        weights: A matrix for z, y and x, as `axis_weights` gives them.
        outside: What a row without weights stands for.

    Returns:
        float32, as large as the matrices have rows.
    """
    shape = tuple(matrix.shape[0] for matrix in weights)
    inside, boxes, of_axis = [], [], []
    for matrix in weights:
        row_lengths = np.diff(matrix.indptr)
        filled_rows = np.flatnonzero(row_lengths)
        if len(filled_rows) == 0:
            return np.full(shape, outside, dtype=np.float32)
        # Of the voxels, those that are looked at.
        first = int(matrix.indices.min())
        last = int(matrix.indices.max())
        box = slice(first, last + 1)
        inside.append(filled_rows)
        boxes.append(box)
        of_axis.append(matrix[filled_rows][:, box])

    of_z, of_y, of_x = of_axis
    seen = voxels[tuple(boxes)]
    rows, columns = of_y.shape[0], of_x.shape[0]
    planes = np.empty((len(seen), rows, columns), dtype=np.float32)
    for number, plane in enumerate(seen):
        along_y = of_y @ plane.astype(np.float32, copy=False)
        planes[number] = (of_x @ along_y.T).T

    # Along z nothing changes for most images: slices stay as acquired.
    if not _is_identity(of_z):
        flat = planes.reshape(len(planes), -1)
        planes = (of_z @ flat).reshape(-1, rows, columns)

    if planes.shape == shape:
        return planes
    result = np.full(shape, outside, dtype=np.float32)
    result[np.ix_(*inside)] = planes
    return result


def _is_identity(matrix: sparse.csr_array) -> bool:
    """Whether a square matrix changes nothing."""
    if matrix.shape[0] != matrix.shape[1]:
        return False
    identity = sparse.eye_array(matrix.shape[0], format="csr")
    return (matrix != identity).nnz == 0
