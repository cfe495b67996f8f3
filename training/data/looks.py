"""The ways in which a run makes synthetic T2 of a T1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.config import RunConfig
from training.data.intermediates import Translators
from training.stage_table import CYCLEGAN, SECOND_CYCLEGAN, Stage


@dataclass(frozen=True)
class Look:
    """One way to make synthetic T2."""

    translator: Stage
    """The stage that has trained the translator."""
    suffix: str = ""
    """What stands behind the name of a case."""

    def of(self, source: np.ndarray, translators: Translators) -> np.ndarray:
        """Synthetic T2 of a T1 (Z, Y, X), both in [-1, 1]: float32 of the same shape.

        Raises InputError where the translator is not trained.
        """
        return translators(self.translator, "source_to_target", source)


def looks_of(config: RunConfig) -> list[Look]:
    """The looks that each T1 case is given, the plain one first."""
    looks = [Look(CYCLEGAN)]
    if config.second_cyclegan is not None:
        second = Look(SECOND_CYCLEGAN, "_second")
        looks.append(second)
    return looks
