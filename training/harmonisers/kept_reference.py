"""What the harmonisers have in common that keep the reference slice itself and train nothing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from training.config import build
from training.data.arrays import read_arrays
from training.data.reference_slice import Reference
from training.gan.devices import subnormals_as_zero
from training.harmonisers.base import Harmoniser
from training.stage_table import HARMONISER
from vestibule.errors import InputError
from vestibule.files import atomic, read_json, write_json

IMAGE, RECORD = "kept_slice.npz", "kept_slice.json"
"""Files of a saved harmoniser: the slice, and the settings."""


class KeptReferenceHarmoniser(Harmoniser):
    """A harmoniser that is its reference slice and its settings. A subclass says what it does to one slice."""

    def __init__(self, image: np.ndarray, settings: Any) -> None:
        """A harmoniser of the slice `image`, float32 (Y, X) in [-1, 1]; `settings` are of the type `Settings`."""
        self.image = image
        self.settings = settings

    @classmethod
    def fit(cls, reference: Reference, settings: Any, folder: Path, seed: int, precision: str = "auto") -> Self:
        """Keep the reference slice; nothing is trained, so that neither seed nor precision matters.

        Args:
            reference: The slice to keep.
            settings: Of the type `Settings`.
            folder: Not used.
            seed: Not used.
            precision: Not used.

        Returns:
            The harmoniser.

        Raises:
            InputError: The slice is smaller than a patch.
        """
        cls.planned_levels(settings, reference.image.shape)
        return cls(reference.image, settings)

    # Weights of unlikely patches are subnormal numbers by the thousand, which a CPU computes many times slower.
    @torch.no_grad()
    @subnormals_as_zero()
    def apply(self, slices: np.ndarray, level: int, generator: torch.Generator | None = None) -> np.ndarray:
        """`slices` (B, Y, X), each by itself, so that none depends on the others; noise, if any, by `generator`."""
        self.require_level(level)
        patch_px = self.settings.patch_px
        harmonised = np.empty_like(slices, dtype=np.float32)
        for index, image in enumerate(slices):
            rows, columns = image.shape
            missing_rows = max(0, patch_px - rows)
            missing_columns = max(0, patch_px - columns)
            # A slice smaller than a patch is continued by its last rows and columns.
            behind = ((0, missing_rows), (0, missing_columns))
            padded = np.pad(image, behind, mode="edge")
            tensor = torch.from_numpy(padded)[None, None]  # (1, 1, Y, X)
            result = self.harmonise_one(tensor, level, generator)
            clipped = result.clamp(-1, 1)
            harmonised[index] = clipped[0, 0, :rows, :columns].numpy()
        return harmonised

    @abstractmethod
    def harmonise_one(self, image: torch.Tensor, level: int, generator: torch.Generator | None) -> torch.Tensor:
        """Give one slice the look of the reference.

        Args:
            image: (1, 1, Y, X) in [-1, 1], no side shorter than a patch.
            level: One of `levels`.
            generator: What noise is sampled with; None: without noise.

        Returns:
            (1, 1, Y, X).
        """

    def save(self, folder: Path) -> list[Path]:
        """Write slice and settings to `folder`; returns the files' paths."""
        image_path = folder / IMAGE
        with atomic(image_path) as partial_path, partial_path.open("wb") as file:
            np.savez(file, image=self.image)
        record_path = folder / RECORD
        record = asdict(self.settings)
        write_json(record_path, record)
        return [image_path, record_path]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The harmoniser that `save` wrote to `folder`. Raises InputError where there is none."""
        record_path = folder / RECORD
        record = read_json(record_path)
        if not record:
            raise InputError(f"{record_path}: is missing or broken; delete the folder and train the harmoniser again")
        settings = build(cls.Settings, record, HARMONISER.name)
        (image,) = read_arrays(folder / IMAGE, "image")
        return cls(image, settings)


def require_patch(size_yx: tuple[int, ...], patch_px: int) -> None:
    """Raise InputError for a reference slice of `size_yx` pixels that holds no whole patch."""
    shorter = min(size_yx)
    if shorter < patch_px:
        raise InputError(
            f"the reference slice is {size_yx} px; harmoniser.patch_px needs at least {patch_px} px a side"
        )
