"""What every harmoniser can do: learn the look of one slice, and give it to slices into which something was copied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from training.config import HarmoniserSettings
from training.data.reference_slice import Reference

RANDOM_SAMPLE = "random sample"
"""Title of a preview that shows what a harmoniser makes of noise alone."""


class Harmoniser(ABC):
    """A model of the look of one reference slice.

    A further kind is a subclass in a file of its own and an entry in `training.harmoniser_table`. It receives slices
    and gives slices; where a tumour is in them is not its business.
    """

    Settings: ClassVar[type[HarmoniserSettings]]
    """Dataclass of the kind's section in the configuration."""

    @classmethod
    @abstractmethod
    def fit(cls, reference: Reference, settings: Any, folder: Path, seed: int, precision: str = "auto") -> Self:
        """Learn the look of a slice.

        Args:
            reference: The slice; float32 (Y, X) in [-1, 1].
            settings: Of the type `Settings`.
            folder: For losses, and for checkpoints that a killed training goes on from.
            seed: Fixes the result on one machine.
            precision: Arithmetic of networks, as in the configuration.

        Returns:
            The fitted harmoniser.

        Raises:
            InputError: The slice cannot be learnt.
        """

    @classmethod
    def planned_levels(cls, settings: Any, size_yx: tuple[int, int]) -> range | None:
        """Levels that a harmoniser will have, so that a configuration is refused before anything is trained.

        Args:
            settings: Of the type `Settings`.
            size_yx: Pixels of the reference slice.

        Returns:
            What `levels` of the fitted harmoniser will be; None where only the fitting tells.

        Raises:
            InputError: No slice of this size can be learnt.
        """
        return None

    @property
    @abstractmethod
    def levels(self) -> range:
        """Levels that slices can be harmonised at; the lowest changes most."""

    @abstractmethod
    def apply(self, slices: np.ndarray, level: int, generator: torch.Generator | None = None) -> np.ndarray:
        """Give slices the look of the reference.

        Args:
            slices: Float32 (B, Y, X) in [-1, 1], of any size.
            level: One of `levels`.
            generator: What random parts are sampled with; None: without random parts.

        Returns:
            Float32 (B, Y, X) in [-1, 1].

        Raises:
            ValueError: A level that the harmoniser does not have.
        """

    @abstractmethod
    def save(self, folder: Path) -> list[Path]:
        """Write the harmoniser to `folder`; returns the files' paths."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The harmoniser that `save` wrote to `folder`, on the device that there is."""

    def previews(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What a sheet shows of the harmoniser: title -> (Y, X), made of the reference's `image` (Y, X).

        All but `RANDOM_SAMPLE` are to look like that image, place by place, and are compared with it.
        """
        shown = {}
        for level in self.levels:
            (harmonised,) = self.apply(image[None], level)
            shown[f"level {level}"] = harmonised
        return shown

    def require_level(self, level: int) -> None:
        """Raise ValueError for a level that the harmoniser does not have."""
        if level not in self.levels:
            allowed = range_in_words(self.levels)
            raise ValueError(f"level must be {allowed}, got {level}")

    def at_level(
        self, level: int | None, generator: torch.Generator | None = None
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """`apply` at one level, as a function of slices (B, Y, X); None where the level is None."""
        if level is None:
            return None

        def harmonise(slices: np.ndarray) -> np.ndarray:
            return self.apply(slices, level, generator)

        return harmonise


def common_levels(harmonisers: Sequence[Harmoniser]) -> range:
    """Levels that all of `harmonisers` have; at least one harmoniser is needed."""
    levels = [harmoniser.levels for harmoniser in harmonisers]
    first = max(own.start for own in levels)
    stop = min(own.stop for own in levels)
    return range(first, stop)


def range_in_words(levels: range) -> str:
    """`levels` as error messages call them."""
    last = levels.stop - 1
    return f"from {levels.start} to {last}"
