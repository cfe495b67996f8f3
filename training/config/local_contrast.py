"""Settings of the random intensity of structures while nnU-Net trains."""

from __future__ import annotations

from dataclasses import dataclass

from training.arms import ARMS, BLENDING, DIRECT
from training.config.checks import not_negative, share

ORIGINS = ("mean", "darkest")


@dataclass(frozen=True)
class LocalContrastConfig:
    """Random intensity of tumour and cochlea in the patches that nnU-Net trains on, new for every patch.

    The section is off where it is left out. Its defaults are those of the winner of 2023 (Vandy365).
    """

    stages: tuple[str, ...] = (DIRECT.segmenter.name, BLENDING.segmenter.name)
    """Stages whose nnU-Net is trained so; by default those that see synthetic T2, as published."""
    tumour_factors: tuple[float, float] | None = (1.2, 2.0)
    """Smallest and largest factor of the tumour's intensities; `null` leaves them as they are."""
    cochlea_factors: tuple[float, float] | None = (0.5, 1.0)
    """The same for the cochlea's."""
    origin: str = "mean"
    """The intensity that no factor changes. `mean`: the image's mean, which is 0 to nnU-Net, as published; a structure
    that is as bright as this mean stays so. `darkest`: the darkest voxel of the patch, so that 0.5 halves the signal,
    as a team of 2021 did in copies of its cases."""
    probability: float = 0.2
    """Chance of each structure to be changed in a patch."""
    unevenness: float = 0.0
    """Standard deviation of a smooth random pattern in the structure, as a share of the factor; 0: all of its voxels
    have the same factor, as published."""
    grain_vox: float = 2.0
    """Standard deviation of the Gaussian that makes the pattern smooth, voxels of the patch."""

    def __post_init__(self) -> None:
        known = {arm.segmenter.name for arm in ARMS.values()}
        unknown = set(self.stages) - known
        if unknown:
            raise ValueError(f"local_contrast.stages must be among {sorted(known)}, got {sorted(unknown)}")
        if self.origin not in ORIGINS:
            raise ValueError(f"origin must be one of {ORIGINS}, got {self.origin!r}")
        share(probability=self.probability)
        not_negative(unevenness=self.unevenness, grain_vox=self.grain_vox)
        _check_range("tumour_factors", self.tumour_factors)
        _check_range("cochlea_factors", self.cochlea_factors)


def _check_range(key: str, factors: tuple[float, float] | None) -> None:
    """Raise ValueError for factors that are not positive, or fall."""
    if factors is None:
        return
    low, high = factors
    if not 0 < low <= high:
        raise ValueError(f"{key} must be above 0 and rise, got {list(factors)}")
