"""Gradient-domain blending of a structure into another image. Pérez, Gangnet and Blake 2003."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def poisson_blend(guide: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """`background` with the gradients of `guide` inside `mask`, slice by slice; all (Z, Y, X), result float32.

    Inside the mask the result has the guide's Laplacian and meets the background at the border; outside it is the
    background, bit for bit. Where the mask touches the image's edge, no condition holds across the edge. A slice that
    is all mask has no border to meet and takes the guide as it is. Pérez et al. 2003, eq. 7 and 8.
    """
    result = background.astype(np.float32, copy=True)
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        inside = mask[index]
        # The difference to the guide is harmonic: solving for it needs no gradients of the guide.
        offset = (background[index] - guide[index]).astype(np.float64)
        result[index][inside] = guide[index][inside] + harmonic_fill(offset, inside)
    return result


def harmonic_fill(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What solves Laplace's equation on `inside` (Y, X) with `values` around it, in the order of `inside`'s pixels."""
    if inside.all():
        return np.zeros(inside.sum())
    numbers = np.full(inside.shape, -1)
    numbers[inside] = np.arange(inside.sum())
    y, x = np.nonzero(inside)
    degree, known = np.zeros(len(y)), np.zeros(len(y))
    rows, columns = [], []
    for step_y, step_x in NEIGHBOURS:
        there_y, there_x = y + step_y, x + step_x
        exists = (there_y >= 0) & (there_y < inside.shape[0]) & (there_x >= 0) & (there_x < inside.shape[1])
        here = np.flatnonzero(exists)
        other = numbers[there_y[here], there_x[here]]
        degree[here] += 1
        rows.append(here[other >= 0])
        columns.append(other[other >= 0])
        border = here[other < 0]
        known[border] += values[there_y[border], there_x[border]]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    every = np.arange(len(y))
    entries = np.concatenate([degree, -np.ones(len(rows))])
    matrix = coo_matrix((entries, (np.concatenate([every, rows]), np.concatenate([every, columns])))).tocsr()
    return np.atleast_1d(spsolve(matrix, known))
