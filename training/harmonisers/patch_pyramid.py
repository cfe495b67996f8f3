"""What harmonisers on patches, coarse to fine, have in common: the scales of the reference slice."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from training.config.harmoniser import HarmoniserSettings
from training.config.patch_pyramid import PatchPyramidConfig
from training.harmonisers.kept_reference import KeptReferenceHarmoniser, require_patch
from training.harmonisers.pyramid import scale_sizes


class PatchPyramidHarmoniser(KeptReferenceHarmoniser):
    """A harmoniser whose levels are the scales of the reference slice."""

    Settings: ClassVar[type[HarmoniserSettings]] = PatchPyramidConfig
    settings: PatchPyramidConfig

    def __init__(self, image: np.ndarray, settings: PatchPyramidConfig) -> None:
        """A harmoniser of the slice `image`, float32 (Y, X) in [-1, 1]."""
        super().__init__(image, settings)
        self.sizes = scale_sizes(image.shape, settings.coarsest_px, settings.scale_factor)

    @property
    def levels(self) -> range:
        """The scales that a slice can enter at; 0, where only the largest shapes are left, is none."""
        return range(1, len(self.sizes))

    @classmethod
    def planned_levels(cls, settings: PatchPyramidConfig, size_yx: tuple[int, int]) -> range | None:
        """One for each step of the pyramid. Raises InputError for a slice smaller than a patch."""
        require_patch(size_yx, settings.patch_px)
        sizes = scale_sizes(size_yx, settings.coarsest_px, settings.scale_factor)
        return range(1, len(sizes))
