"""Image pyramids: the sizes of a slice at each scale, coarsest first, and the change from one size to another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import interpolate


def scale_sizes(full_yx: tuple[int, ...], coarsest_px: int, scale_factor: float) -> list[tuple[int, int]]:
    """Sizes of all scales, coarsest first: the shorter side starts at `coarsest_px` and grows by about 1/factor.

    The factor is adjusted so that whole steps lead from the coarsest to the full size. Shaham et al. 2019, suppl.

    Args:
        full_yx: Size of the slice.
        coarsest_px: Shorter side at scale 0; a slice that is not larger has one scale alone.
        scale_factor: Size of a scale relative to the next finer one, between 0 and 1.

    Returns:
        Sizes (Y, X); the last is `full_yx`.
    """
    full_y, full_x = full_yx
    shorter = min(full_yx)
    coarsest = min(coarsest_px, shorter)
    shrink = coarsest / shorter

    # Rounded up, but not for the sake of an error in the logarithms' last digits.
    exact_steps = math.log(shrink) / math.log(scale_factor)
    steps = max(0, math.ceil(exact_steps - 1e-9))
    factor = shrink ** (1 / steps) if steps else 1.0

    sizes = []
    for scale in range(steps + 1):
        share = factor ** (steps - scale)
        rows = round(full_y * share)
        columns = round(full_x * share)
        sizes.append((rows, columns))
    return sizes


def size_at(
    sizes: Sequence[tuple[int, int]], scale: int, full_yx: tuple[int, ...], least_px: int = 1
) -> tuple[int, int]:
    """Size at `scale` of an image that has another size than the one that the pyramid is of.

    Args:
        sizes: Of the pyramid's scales, (Y, X), coarsest first.
        scale: Which of them.
        full_yx: Size of the image at the finest scale.
        least_px: No side is shorter.

    Returns:
        (Y, X).
    """
    full_y, full_x = full_yx
    size_y, size_x = sizes[scale]
    finest_y, finest_x = sizes[-1]
    rows = round(full_y * size_y / finest_y)
    columns = round(full_x * size_x / finest_x)
    # An image may be so much smaller than the pyramid's that nothing would be left of it.
    rows = max(least_px, rows)
    columns = max(least_px, columns)
    return rows, columns


def resize(image: torch.Tensor, size_yx: tuple[int, int]) -> torch.Tensor:
    """Bicubic with an antialiasing filter; the image itself where it has that size."""
    if tuple(image.shape[-2:]) == tuple(size_yx):
        return image
    return interpolate(
        image,
        size=size_yx,
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )
