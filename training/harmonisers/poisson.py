"""Gradient-domain blending of a structure into another image. Pérez, Gangnet and Blake 2003."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Steps (Y, X) to the four neighbours of a pixel."""


def poisson_blend(guide: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """`background` with the gradients of `guide` inside `mask`, slice by slice. Pérez et al. 2003, eq. 7 and 8.

    Inside the mask the result has the guide's Laplacian and meets the background at the border. Where the mask touches
    the image's edge, no condition holds across the edge. A slice that is all mask has no border to meet and takes the
    guide as it is.

    Args:
        guide: What gives the gradients, (Z, Y, X).
        mask: Where, bool (Z, Y, X).
        background: What they go into, (Z, Y, X).

    Returns:
        Float32 (Z, Y, X); outside the mask the background, bit for bit.
    """
    result = background.astype(np.float32, copy=True)
    masked_slices = np.flatnonzero(mask.any(axis=(1, 2)))

    for index in masked_slices:
        inside = mask[index]
        # The difference to the guide is harmonic: solving for it needs no gradients of the guide.
        difference = background[index] - guide[index]
        offset = harmonic_fill(difference.astype(np.float64), inside)
        result[index][inside] = guide[index][inside] + offset
    return result


def harmonic_fill(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The solution of Laplace's equation inside a region, with given values around it.

    Args:
        values: Float64 (Y, X); those outside the region that border on it are met.
        inside: The region, bool (Y, X).

    Returns:
        Float64 (N,), in the order of the region's pixels.
    """
    if inside.all():
        return np.zeros(inside.sum())
    size_y, size_x = inside.shape
    count = int(inside.sum())
    number_of = np.full(inside.shape, -1)
    number_of[inside] = np.arange(count)
    y, x = np.nonzero(inside)

    # One equation a pixel: as many times its own value as it has neighbours, less the neighbours inside, is the sum of
    # the known ones outside.
    neighbours = np.zeros(count)
    known = np.zeros(count)
    rows = [np.arange(count)]
    columns = [np.arange(count)]
    for step_y, step_x in NEIGHBOURS:
        neighbour_y = y + step_y
        neighbour_x = x + step_x
        exists_y = (neighbour_y >= 0) & (neighbour_y < size_y)
        exists_x = (neighbour_x >= 0) & (neighbour_x < size_x)
        here = np.flatnonzero(exists_y & exists_x)
        there = neighbour_y[here], neighbour_x[here]
        neighbours[here] += 1

        # A neighbour inside is another unknown, one outside a number that goes to the right-hand side.
        number = number_of[there]
        unknown = number >= 0
        rows.append(here[unknown])
        columns.append(number[unknown])
        border = here[~unknown]
        value = values[there][~unknown]
        known[border] += value

    row = np.concatenate(rows)
    column = np.concatenate(columns)
    off_diagonal = -np.ones(len(row) - count)
    entries = np.concatenate([neighbours, off_diagonal])
    matrix = coo_matrix((entries, (row, column)))
    solution = spsolve(matrix.tocsr(), known)
    # SciPy gives a number in the place of a vector of one.
    return np.atleast_1d(solution)
