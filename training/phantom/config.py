"""What a synthetic population is made of."""

from __future__ import annotations

from dataclasses import dataclass

from training.phantom.tumour import VOLUME_RANGE_MM3
from vestibule.editions import get_edition

SITES = {2021: ("ldn",), 2022: ("ldn", "etz"), 2023: ("ldn", "etz", "ukm")}
"""Sites of each edition: London, Tilburg, UK multi-centre routine."""


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
    """Sites that cases are drawn from in turn; by default all of the edition's."""
    prevalence: float = 0.9
    """Share of patients with a schwannoma. A design choice: challenge patients all have one, but a translation that
    only ever sees tumours learns to paint one everywhere."""
    volume_mm3: tuple[float, float] = VOLUME_RANGE_MM3
    """Limits of tumour volumes, between which they are log-uniform: those of the challenge's labels."""
    oblique: float = 0.3
    """Share of images whose axes are turned by a few degrees against the scanner's."""
    workers: int = 1
    """Processes that draw cases."""

    def __post_init__(self) -> None:
        get_edition(self.edition)
        allowed = SITES[self.edition]
        if self.cases < 1 or (self.validation is not None and self.validation < 1) or self.workers < 1:
            raise ValueError("cases, validation and workers must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        for name, low in (("shape_zyx", 8), ("spacing_zyx", 0.1)):
            value = getattr(self, name)
            if value is not None and (len(value) != 3 or min(value) < low):
                raise ValueError(f"{name} must be three numbers (Z, Y, X) of at least {low}, got {value}")
        if self.spacing_zyx is not None and max(self.spacing_zyx) > 10:
            raise ValueError(f"spacing_zyx must be at most 10 mm, got {self.spacing_zyx}")
        if self.sites is not None and (not self.sites or not set(self.sites) <= set(allowed)):
            raise ValueError(f"sites of edition {self.edition} are {', '.join(allowed)}, got {', '.join(self.sites)}")
        if not (0 <= self.prevalence <= 1 and 0 <= self.oblique <= 1):
            raise ValueError("prevalence and oblique must lie between 0 and 1")
        low, high = self.volume_mm3
        if not 20 <= low < high <= 20000:
            raise ValueError(f"volume_mm3 must be two rising numbers between 20 and 20000 mm3, got {self.volume_mm3}")

    @property
    def validation_cases(self) -> int:
        """Unseen target patients."""
        return max(4, self.cases // 2) if self.validation is None else self.validation

    @property
    def site_cycle(self) -> tuple[str, ...]:
        """Sites that cases are drawn from in turn."""
        return self.sites or SITES[self.edition]
