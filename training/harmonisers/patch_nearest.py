"""GPNN: each patch is replaced by its nearest neighbour in the reference, coarse to fine. Granot et al. 2022.

Nothing is trained. As with SinGAN, a slice enters at a scale: it keeps its structure above that scale, and what is
finer comes from the reference. The levels are these scales.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from training.config import GPNNConfig, HarmoniserSettings
from training.harmonisers.patch_pyramid import PatchPyramidHarmoniser
from training.harmonisers.patches import image_of, patches_of, squared_distances
from training.harmonisers.pyramid import resize, size_at


class PatchNearestHarmoniser(PatchPyramidHarmoniser):
    """Patch nearest neighbours in the pyramid of a slice."""

    Settings: ClassVar[type[HarmoniserSettings]] = GPNNConfig
    settings: GPNNConfig

    def __init__(self, image: np.ndarray, settings: GPNNConfig) -> None:
        """A harmoniser of the slice `image`, float32 (Y, X) in [-1, 1]."""
        super().__init__(image, settings)
        full = torch.from_numpy(image)[None, None]  # (1, 1, Y, X)

        # Of every scale, patches as they are and as the next coarser scale hands them on, in the same order.
        self.sharp: list[torch.Tensor] = []
        self.blurred: list[torch.Tensor] = []
        coarser = full
        for scale, size_yx in enumerate(self.sizes):
            current = resize(full, size_yx)
            from_coarser = resize(coarser, size_yx) if scale > 0 else current
            sharp = patches_of(current, settings.patch_px)
            blurred = patches_of(from_coarser, settings.patch_px)
            self.sharp.append(sharp)
            self.blurred.append(blurred)
            coarser = current

    def harmonise_one(self, image: torch.Tensor, level: int, generator: torch.Generator | None) -> torch.Tensor:
        """`image` (1, 1, Y, X) with its patches replaced from scale `level` on; there is no noise."""
        patch_px = self.settings.patch_px
        full_yx = tuple(image.shape[-2:])
        coarser_yx = size_at(self.sizes, level - 1, full_yx, patch_px)
        current = resize(image, coarser_yx)

        for scale in range(level, len(self.sizes)):
            size_yx = size_at(self.sizes, scale, full_yx, patch_px)
            current = resize(current, size_yx)
            # What comes from the coarser scale is compared with what is as blurred; from then on both are sharp.
            keys = self.blurred[scale]
            for _ in range(self.settings.iterations):
                queries = patches_of(current, patch_px)
                nearest = nearest_keys(queries, keys, self.settings.completeness)
                replaced = self.sharp[scale][nearest]
                current = image_of(replaced, size_yx, patch_px)
                keys = self.sharp[scale]
        return current


def nearest_keys(queries: torch.Tensor, keys: torch.Tensor, completeness: float | None) -> torch.Tensor:
    """For every query the index of its nearest key, (N,). Granot et al. 2022, sec. 3.

    The distance to a key is divided by that of the query that is nearest to the key. So a key that resembles nothing in
    the slice is preferred where it is not much farther than others, and all of the reference is used.

    Args:
        queries: Patches of the slice, (N, D).
        keys: Patches of the reference, (M, D).
        completeness: The α that is added to the divisor, in mean squared differences; the smaller, the more of the
            reference is used. None: the distance is not divided.

    Returns:
        Indices into `keys`.
    """
    count, size = queries.shape
    divisor = None
    if completeness is not None:
        key_count = len(keys)
        least = torch.full((key_count,), torch.inf)
        for _, distances in squared_distances(queries, keys):
            least_of_some = distances.amin(dim=0)
            least = torch.minimum(least, least_of_some)
        divisor = least / size + completeness  # (M,)

    nearest = torch.empty(count, dtype=torch.long)
    for rows, distances in squared_distances(queries, keys):
        if divisor is not None:
            distances /= divisor
        nearest[rows] = distances.argmin(dim=1)
    return nearest
