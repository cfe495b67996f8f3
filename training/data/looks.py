"""The looks of synthetic T2 that a run gives to every T1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.intermediates import TO_TARGET, Translators
from training.data.site_code import read_sites
from training.stage_table import CYCLEGAN, SECOND_CYCLEGAN, Stage


@dataclass(frozen=True)
class Look:
    """One way to make synthetic T2."""

    translator: Stage
    """The stage that has trained the translator."""
    suffix: str = ""
    """What stands behind the name of a case."""
    site: str | None = None
    """Whose look a translator with a site code gives."""
    place: int = 0
    """The site's place among those of the translator."""
    places: int = 1
    """How many sites the translator tells apart."""

    def of(self, source: np.ndarray, translators: Translators) -> np.ndarray:
        """Synthetic T2 of a T1 (Z, Y, X), both in [-1, 1]: float32 of the same shape.

        Raises InputError where the translator is not trained.
        """
        return translators(self.translator, TO_TARGET, source, self.site)

    def has_turn(self, number: int) -> bool:
        """Whether case `number` is the one of this site, where the sites of a translator take turns."""
        return number % self.places == self.place


def looks_of(config: RunConfig, run_dir: Path) -> list[Look]:
    """The looks that each T1 case is given: by each translator, of each site that it tells apart.

    Args:
        config: Its section `second_cyclegan`.
        run_dir: Folder of a run whose translators are trained.
    """
    suffixes = {CYCLEGAN: ""}
    if config.second_cyclegan is not None:
        suffixes[SECOND_CYCLEGAN] = "_second"
    looks = []
    for stage, suffix in suffixes.items():
        sites = read_sites(stage.folder(run_dir))
        if not sites:
            look = Look(stage, suffix)
            looks.append(look)
        for place, site in enumerate(sites):
            look = Look(stage, f"{suffix}_{site}", site, place, len(sites))
            looks.append(look)
    return looks
