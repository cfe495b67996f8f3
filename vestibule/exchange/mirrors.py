"""Which axes of a patch nnU-Net mirrors together, for formats that predict without it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def mirrors_of(mirror_axes: Sequence[int]) -> list[list[int]]:
    """Axes of a batch of patches (patches, channels, ...) that are mirrored together, each set once.

    nnU-Net's mean is over these and the patch as it lies.

    Args:
        mirror_axes: Spatial axes of a patch, as a bundle has them.
    """
    sets = []
    for count in range(1, len(mirror_axes) + 1):
        for axes in itertools.combinations(mirror_axes, count):
            # Behind the axes of patches and channels.
            sets.append([axis + 2 for axis in axes])
    return sets
