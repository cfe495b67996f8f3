"""Diffusion on the patches of the reference, denoised in closed form. Kamb and Ganguli 2025.

Noise is added to a slice and taken away step by step. If only patches of the reference can lie behind a noisy patch,
the denoiser with the least squared error is their mean, each weighted by how likely it gives the noisy patch: nothing
is trained. The more noise, the less of the slice is left. The levels are the amounts of noise.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch

from training.config import HarmoniserSettings, PatchDiffusionConfig
from training.harmonisers.kept_reference import KeptReferenceHarmoniser, require_patch
from training.harmonisers.patches import image_of, patches_of, squared_distances


class PatchDiffusionHarmoniser(KeptReferenceHarmoniser):
    """Denoising by the patches of a slice."""

    Settings: ClassVar[type[HarmoniserSettings]] = PatchDiffusionConfig
    settings: PatchDiffusionConfig

    def __init__(self, image: np.ndarray, settings: PatchDiffusionConfig) -> None:
        """A harmoniser of the slice `image`, float32 (Y, X) in [-1, 1]."""
        super().__init__(image, settings)
        full = torch.from_numpy(image)[None, None]  # (1, 1, Y, X)
        self.patches = patches_of(full, settings.patch_px)  # (M, patch_px²)

    @property
    def levels(self) -> range:
        """Places in the list of sigmas, from 1 on; the first has most noise."""
        return _levels_of(self.settings)

    @classmethod
    def planned_levels(cls, settings: PatchDiffusionConfig, size_yx: tuple[int, int]) -> range | None:
        """One for each sigma. Raises InputError for a slice smaller than a patch."""
        require_patch(size_yx, settings.patch_px)
        return _levels_of(settings)

    def harmonise_one(self, image: torch.Tensor, level: int, generator: torch.Generator | None) -> torch.Tensor:
        """`image` (1, 1, Y, X) with the noise of `level`, denoised; without a generator nothing is added to it."""
        sigmas = self.settings.sigmas[level - 1 :]
        current = image
        if generator is not None:
            noise = torch.randn(image.shape, generator=generator)
            current = image + sigmas[0] * noise

        # A deterministic step: what is left of the noise falls as sigma does. Song et al. 2021 (DDIM), in the form of
        # Karras et al. 2022.
        for sigma, following in pairwise((*sigmas, 0.0)):
            denoised = self.denoise(current, sigma)
            remaining = following / sigma
            left = current - denoised
            current = denoised + remaining * left
        return current

    def denoise(self, image: torch.Tensor, sigma: float) -> torch.Tensor:
        """The expected image behind `image` (1, 1, Y, X) with noise of `sigma`, made of the reference's patches."""
        patch_px = self.settings.patch_px
        queries = patches_of(image, patch_px)
        means = torch.empty_like(queries)
        for rows, distances in squared_distances(queries, self.patches):
            scale = -2 * sigma**2
            log_likelihood = distances / scale
            weights = torch.softmax(log_likelihood, dim=1)  # (n, M)
            means[rows] = weights @ self.patches

        height, width = image.shape[-2:]
        return image_of(means, (height, width), patch_px)


def _levels_of(settings: PatchDiffusionConfig) -> range:
    """One for each sigma, from 1 on."""
    count = len(settings.sigmas)
    return range(1, count + 1)
