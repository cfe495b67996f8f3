"""Linear interpolation along an array's own axes, as a sparse matrix for each: it costs a fraction of a free one.

Between grids whose axes are parallel a voxel's neighbours differ from axis to axis only. So the smoothing and the
interpolation along an axis are one matrix with a few numbers a row.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

REACH = 6
"""Standard deviations beyond which a Gaussian adds nothing that float32 holds."""


def axis_weights(positions: np.ndarray, size: int, sigma: float = 0.0) -> sparse.csr_array:
    """What each of `size` voxels adds at `positions` (N,) along their axis, in voxels: float32 (N, `size`).

    Rows add up to one, and are empty where a position lies farther out than the edge of the first or last voxel. With
    `sigma`, in voxels, the voxels are smoothed by a Gaussian before; beyond the edge the last one goes on.
    """
    inside = (positions >= -0.5 - 1e-6) & (positions <= size - 0.5 + 1e-6)
    rows = np.nonzero(inside)[0]
    place = np.clip(positions[inside], 0, size - 1)
    first = np.minimum(np.floor(place).astype(int), max(size - 2, 0))
    share = place - first
    steps = np.arange(-int(np.ceil(REACH * sigma)), int(np.ceil(REACH * sigma)) + 1)
    gaussian = np.exp(-0.5 * (steps / sigma) ** 2) if sigma else np.ones(1)
    gaussian /= gaussian.sum()
    weights = np.concatenate([gaussian * (1 - share)[:, None], gaussian * share[:, None]], axis=1)
    columns = np.clip(np.concatenate([first[:, None] + steps, first[:, None] + 1 + steps], axis=1), 0, size - 1)
    found = (weights.ravel(), (np.repeat(rows, weights.shape[1]), columns.ravel()))
    matrix = sparse.csr_array(sparse.coo_array(found, shape=(len(positions), size)), dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


def along_axes(
    voxels: np.ndarray, weights: tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array], outside: float
) -> np.ndarray:
    """`voxels` (Z, Y, X) weighted along z, y and x, float32; what a row without weights stands for is `outside`."""
    shape = tuple(matrix.shape[0] for matrix in weights)
    inside = [np.nonzero(np.diff(matrix.indptr))[0] for matrix in weights]
    if min(map(len, inside)) == 0:
        return np.full(shape, outside, dtype=np.float32)
    boxes = [slice(int(matrix.indices.min()), int(matrix.indices.max()) + 1) for matrix in weights]
    of_z, of_y, of_x = (matrix[rows][:, box] for matrix, rows, box in zip(weights, inside, boxes, strict=True))
    seen = voxels[tuple(boxes)]
    planes = np.empty((len(seen), of_y.shape[0], of_x.shape[0]), dtype=np.float32)
    for plane, into in zip(seen, planes, strict=True):
        into[:] = (of_x @ (of_y @ plane.astype(np.float32, copy=False)).T).T
    if not _is_identity(of_z):
        planes = (of_z @ planes.reshape(len(planes), -1)).reshape(-1, *planes.shape[1:])
    if planes.shape == shape:
        return planes
    result = np.full(shape, outside, dtype=np.float32)
    result[np.ix_(*inside)] = planes
    return result


def _is_identity(matrix: sparse.csr_array) -> bool:
    return matrix.shape[0] == matrix.shape[1] and (matrix != sparse.eye_array(matrix.shape[0], format="csr")).nnz == 0
