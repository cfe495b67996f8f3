"""Small square patches of a slice: cut out, compared, and put together to a slice again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import fold, unfold

QUERIES_AT_ONCE = 512
"""Rows of a matrix of distances that are in memory at once; with the patches of a 256 px slice, 130 MB."""


def patches_of(image: torch.Tensor, patch_px: int) -> torch.Tensor:
    """All whole patches of `image` (1, 1, Y, X), row by row: (N, patch_px²)."""
    columns = unfold(image, patch_px)  # (1, patch_px², N)
    return columns[0].T.contiguous()


def image_of(patches: torch.Tensor, size_yx: tuple[int, int], patch_px: int) -> torch.Tensor:
    """The image that overlapping patches make: in each pixel their mean, the more central ones weighing more.

    Args:
        patches: All whole patches, (N, patch_px²), in the order of `patches_of`.
        size_yx: Size of the image.
        patch_px: Side of a patch.

    Returns:
        (1, 1, Y, X). The patches of an image give that image back.
    """
    weights = centre_weights(patch_px)  # (patch_px²,)
    weighted = patches * weights
    columns = weighted.T[None]  # (1, patch_px², N)
    total = fold(columns, size_yx, patch_px)

    # Towards the edges fewer patches overlap.
    ones = torch.ones_like(patches)
    weight_columns = (ones * weights).T[None]
    weight = fold(weight_columns, size_yx, patch_px)
    return total / weight


def centre_weights(patch_px: int) -> torch.Tensor:
    """A Gaussian around the middle of a patch, its standard deviation a quarter of the side: (patch_px²,)."""
    # The outer pixels of a patch have been compared with half of their surroundings alone.
    pixels = torch.arange(patch_px)
    middle = (patch_px - 1) / 2
    sd = patch_px / 4
    in_sd = (pixels - middle) / sd
    profile = torch.exp(-0.5 * in_sd**2)
    weights = torch.outer(profile, profile)
    return weights.flatten()


def squared_distances(queries: torch.Tensor, keys: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Squared Euclidean distances of patches, some rows at a time, so that memory does not grow with the slice.

    Args:
        queries: (N, D).
        keys: (M, D).

    Yields:
        Which queries, and their distances (n, M) to all keys.
    """
    squares = keys.square()
    key_norms = squares.sum(dim=1)  # (M,)
    count = len(queries)
    for start in range(0, count, QUERIES_AT_ONCE):
        stop = start + QUERIES_AT_ONCE
        rows = slice(start, stop)
        some = queries[rows]
        squares = some.square()
        norms = squares.sum(dim=1, keepdim=True)  # (n, 1)
        both = norms + key_norms
        distances = torch.addmm(both, some, keys.T, alpha=-2)
        # The expanded square of nearly equal patches can round to just below 0.
        yield rows, distances.clamp_(min=0)
