"""What a synthetic population is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from training.phantom.tumour import VOLUME_RANGE_MM3
from vestibule.editions import get_edition

FEWEST_VALIDATION = 4
"""Unseen target patients where nobody says how many."""
SMALLEST_SHAPE_VOX = 8
"""Voxels that an image has at least along each axis."""
MOST_VOXELS = 512 * 512 * 512
"""Voxels that an image has at most: no larger one is read."""
MOST_PATIENTS = 100_000
MOST_WORKERS = 1000
SPACING_RANGE_MM = (0.1, 10.0)
VOLUME_LIMITS_MM3 = (20.0, 20_000.0)
"""Volumes that a tumour of this shape can be given."""


@dataclass(frozen=True)
class PhantomConfig:
    """A population of synthetic patients: `cases` source, `cases` target and `validation` unseen target patients."""

    cases: int = 12
    """Labelled source patients, and as many unlabelled target patients."""
    validation: int | None = None
    """Unseen target patients; by default half of `cases`, at least 4."""
    seed: int = 0
    """Seed of the population. In a run's configuration the run's own `seed` takes its place."""
    edition: int = 2021
    """Year of the challenge whose folders, names and sites it has. In a run's configuration the run's own `edition`
    takes its place."""
    shape_zyx: tuple[int, int, int] | None = None
    """Voxels of every image; by default the site's own matrix."""
    spacing_zyx: tuple[float, float, float] | None = None
    """Voxel spacing in mm of every image; by default the site's own."""
    sites: tuple[str, ...] | None = None
    """Sites that cases come from in turn; by default all of the edition's."""
    prevalence: float = 0.9
    """Share of patients with a schwannoma. A design choice: challenge patients all have one, but a translation that
    only ever sees tumours learns to paint one everywhere."""
    volume_mm3: tuple[float, float] = VOLUME_RANGE_MM3
    """Limits of tumour volumes, between which they are log-uniform: those of the challenge's labels."""
    oblique: float = 0.3
    """Share of images whose axes are turned by a few degrees against the scanner's."""
    workers: int = field(default=1, metadata={"changes_result": False})
    """Processes that render cases."""

    def __post_init__(self) -> None:
        edition = get_edition(self.edition)

        self._check_counts()
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")

        smallest_mm, largest_mm = SPACING_RANGE_MM
        _check_zyx("shape_zyx", self.shape_zyx, SMALLEST_SHAPE_VOX)
        _check_zyx("spacing_zyx", self.spacing_zyx, smallest_mm)
        if self.shape_zyx is not None and math.prod(self.shape_zyx) > MOST_VOXELS:
            raise ValueError(f"shape_zyx must be at most {MOST_VOXELS} voxels, got {self.shape_zyx}")
        if self.spacing_zyx is not None and max(self.spacing_zyx) > largest_mm:
            raise ValueError(f"spacing_zyx must be at most {largest_mm:g} mm, got {self.spacing_zyx}")

        if self.sites is not None:
            foreign = set(self.sites) - set(edition.sites)
            if foreign or not self.sites:
                known = ", ".join(edition.sites)
                given = ", ".join(self.sites)
                raise ValueError(f"sites of edition {self.edition} are {known}, got {given}")

        are_shares = 0 <= self.prevalence <= 1 and 0 <= self.oblique <= 1
        if not are_shares:
            raise ValueError("prevalence and oblique must lie between 0 and 1")

        low, high = self.volume_mm3
        lowest, highest = VOLUME_LIMITS_MM3
        if not lowest <= low < high <= highest:
            limits = f"between {lowest:g} and {highest:g} mm3"
            raise ValueError(f"volume_mm3 must be two rising numbers {limits}, got {self.volume_mm3}")

    def _check_counts(self) -> None:
        fewest = min(self.cases, self.validation_cases, self.workers)
        if fewest < 1:
            raise ValueError("cases, validation and workers must be at least 1")
        if max(self.cases, self.validation_cases) > MOST_PATIENTS:
            raise ValueError(f"cases and validation must be at most {MOST_PATIENTS}")
        if self.workers > MOST_WORKERS:
            raise ValueError(f"workers must be at most {MOST_WORKERS}, got {self.workers}")

    @property
    def validation_cases(self) -> int:
        """Unseen target patients."""
        if self.validation is not None:
            return self.validation
        return max(FEWEST_VALIDATION, self.cases // 2)

    @property
    def site_cycle(self) -> tuple[str, ...]:
        """Sites that cases come from in turn."""
        return self.sites or get_edition(self.edition).sites


def _check_zyx(name: str, value: tuple[float, ...] | None, smallest: float) -> None:
    """Raise ValueError where `value` is given and is not three numbers of at least `smallest`."""
    if value is None:
        return

    # Asked so that NaN is refused too.
    are_large = all(number >= smallest for number in value)
    if len(value) != 3 or not are_large:
        raise ValueError(f"{name} must be three numbers (Z, Y, X) of at least {smallest:g}, got {value}")
