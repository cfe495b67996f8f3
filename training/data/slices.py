"""Prepared volumes as a source of slices: memory-mapped, so that memory does not grow with the number of cases."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from training.config import SamplingConfig
from training.stage_table import PREPARE, Stage
from vestibule.errors import InputError


@dataclass(frozen=True)
class PreparedCase:
    """One case on the working grid."""

    name: str
    domain: str
    site: str
    image_path: Path
    label_path: Path | None
    spacing_zyx: tuple[float, float, float]
    foreground: tuple[float, ...]
    """Share of head voxels of each slice."""
    tumour_voxels: tuple[int, ...]
    """Tumour voxels of each slice; empty without a label."""

    @cached_property
    def image(self) -> np.ndarray:
        """Float16 (Z, Y, X) in [-1, 1], memory-mapped."""
        return np.load(self.image_path, mmap_mode="r")

    @cached_property
    def labels(self) -> np.ndarray:
        """Uint8 (Z, Y, X), memory-mapped. Raises ValueError for a case without a label."""
        if self.label_path is None:
            raise ValueError(f"{self.name} has no label")
        return np.load(self.label_path, mmap_mode="r")


def read_cases(run_dir: Path, domain: str, stage: Stage = PREPARE) -> list[PreparedCase]:
    """The cases of `domain` that `stage` left behind. Raises InputError where there are none."""
    folder = stage.folder(run_dir)
    try:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))["cases"]
    except FileNotFoundError as error:
        raise InputError(f"{folder}: stage {stage.name!r} is not done; run it first") from error
    cases = [
        PreparedCase(
            name=entry["case"],
            domain=entry["domain"],
            site=entry["site"],
            image_path=folder / entry["image"],
            label_path=folder / entry["label"] if entry["label"] else None,
            spacing_zyx=tuple(entry["spacing_zyx"]),
            foreground=tuple(entry["foreground"]),
            tumour_voxels=tuple(entry["tumour_voxels"]),
        )
        for entry in entries
        if entry["domain"] == domain
    ]
    if not cases:
        raise InputError(f"{folder}: holds no case of the {domain} domain")
    return cases


@dataclass(frozen=True)
class Pick:
    """One drawn part of a slice."""

    case: PreparedCase
    index: int
    box: tuple[slice, slice]
    """Rows and columns (Y, X)."""
    mirrored: bool


class SliceSampler:
    """Draws slices that are not black, every site with the same chance, then every case, then every slice."""

    def __init__(self, cases: list[PreparedCase], config: SamplingConfig, tumour_share: float = 0.0) -> None:
        """`tumour_share` of the slices are drawn among those with a tumour, where there is one."""
        self._config = config
        self._tumour_share = tumour_share
        # A case whose ears were not found is larger than the others, and a batch has one size.
        self._size_yx = config.crop_yx or tuple(np.min([case.image.shape[1:] for case in cases], axis=0).tolist())
        self._all = _by_site(cases, lambda case: np.flatnonzero(np.array(case.foreground) >= config.min_foreground))
        self._tumours = _by_site(cases, lambda case: np.flatnonzero(case.tumour_voxels))
        if not self._all:
            raise InputError(
                f"no slice of {len(cases)} cases holds {config.min_foreground:.0%} of head; is the data right?"
            )

    def draw(self, generator: np.random.Generator, rows: float = 0.0) -> list[Pick]:
        """Choose a batch; `load_slices` reads it.

        Two samplers that are given `rows` and -`rows` draw parts that lie so many rows apart in the mean: the first
        leaves out so many of the uppermost, the second of the lowest, as far as parts are smaller than slices.
        """
        return [self._draw_one(generator, rows) for _ in range(self._config.batch_size)]

    def _draw_one(self, generator: np.random.Generator, rows: float) -> Pick:
        wants_tumour = bool(self._tumours) and generator.random() < self._tumour_share
        sites = self._tumours if wants_tumour else self._all
        cases = sites[generator.choice(sorted(sites))]
        case, slices = cases[generator.integers(len(cases))]
        index = int(generator.choice(slices))
        room_y, room_x = (whole - part for whole, part in zip(case.image.shape[1:], self._size_yx, strict=True))
        # Rounded up or down by chance, so that the mean is `rows`.
        left_out = min(int(abs(rows) + generator.random()), room_y)
        first_y = left_out if rows > 0 else 0
        start = first_y + int(generator.integers(room_y - left_out + 1)), int(generator.integers(room_x + 1))
        box = tuple(slice(first, first + part) for first, part in zip(start, self._size_yx, strict=True))
        return Pick(case, index, box, self._config.flip and generator.random() < 0.5)


def load_slices(picks: list[Pick]) -> torch.Tensor:
    """The chosen parts of slices, (B, 1, Y, X) float32 in [-1, 1]."""
    return _batch([pick.case.image for pick in picks], picks)


def load_labels(picks: list[Pick]) -> torch.Tensor:
    """The labels of the chosen parts, (B, 1, Y, X) float32. Raises ValueError for a case without a label."""
    return _batch([pick.case.labels for pick in picks], picks)


def _batch(volumes: list[np.ndarray], picks: list[Pick]) -> torch.Tensor:
    parts = [volume[(pick.index, *pick.box)] for volume, pick in zip(volumes, picks, strict=True)]
    turned = [part[:, ::-1] if pick.mirrored else part for part, pick in zip(parts, picks, strict=True)]
    return torch.from_numpy(np.stack(turned).astype(np.float32)[:, None])


def _by_site(cases: list[PreparedCase], choose) -> dict[str, list[tuple[PreparedCase, np.ndarray]]]:
    sites = defaultdict(list)
    for case in cases:
        slices = choose(case)
        if len(slices):
            sites[case.site].append((case, slices))
    return dict(sites)
