"""Prepared volumes as a source of slices: memory-mapped, so that memory does not grow with the number of cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from training.config import SamplingConfig
from training.data.arrays import read_array
from training.stage_table import PREPARE, Stage
from vestibule.errors import InputError
from vestibule.files import read_json

UNKNOWN_SITE = ""
"""Of cases whose site nobody tells; they are sampled as one site."""


@dataclass(frozen=True)
class PreparedCase:
    """One case on the working grid."""

    name: str
    domain: str
    site: str | None
    """None where neither the case's name nor the edition tells."""
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
        return read_array(self.image_path)

    @cached_property
    def labels(self) -> np.ndarray:
        """Uint8 (Z, Y, X), memory-mapped. Raises ValueError for a case without a label."""
        if self.label_path is None:
            raise ValueError(f"{self.name} has no label")
        return read_array(self.label_path)


def read_cases(run_dir: Path, domain: str, stage: Stage = PREPARE) -> list[PreparedCase]:
    """The cases that a stage left behind.

    Args:
        run_dir: Folder of the run.
        domain: `source` (T1) or `target` (T2).
        stage: The stage that wrote them.

    Returns:
        The cases of the domain, in the order of the stage's index; volumes are not read yet.

    Raises:
        InputError: The stage is not done, or has no case of the domain.
    """
    folder = stage.folder(run_dir)
    path = folder / "index.json"
    index = read_json(path)
    if index is None:
        raise InputError(f"{folder}: stage {stage.name!r} is not done; run it first")
    cases = []
    try:
        for entry in index["cases"]:
            if entry["domain"] == domain:
                cases.append(_case_of(entry, folder))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); make stage {stage.name!r} again"
        ) from error
    if not cases:
        raise InputError(f"{folder}: holds no case of the {domain} domain")
    return cases


def _case_of(entry: dict, folder: Path) -> PreparedCase:
    """A case as the index in `folder` has it."""
    return PreparedCase(
        name=entry["case"],
        domain=entry["domain"],
        site=entry["site"],
        image_path=folder / entry["image"],
        label_path=folder / entry["label"] if entry["label"] else None,
        spacing_zyx=tuple(entry["spacing_zyx"]),
        foreground=tuple(entry["foreground"]),
        tumour_voxels=tuple(entry["tumour_voxels"]),
    )


@dataclass(frozen=True)
class Pick:
    """One sampled part of a slice; `load_slices` reads it."""

    case: PreparedCase
    index: int
    """Slice of the case (z)."""
    box: tuple[slice, slice]
    """Rows and columns (Y, X)."""
    mirrored: bool
    """Whether left and right are exchanged."""


Sites = dict[str, list[tuple[PreparedCase, np.ndarray]]]
"""Site -> its cases, each with the indices (z) of the slices that may be sampled."""


class SliceSampler:
    """Samples slices that are not black: every site with the same chance, then every case, then every slice."""

    def __init__(self, cases: list[PreparedCase], config: SamplingConfig, tumour_share: float = 0.0) -> None:
        """No volume is read yet.

        Args:
            cases: What is sampled from.
            config: Size of a batch and of its parts of slices.
            tumour_share: Share of the slices that are sampled among those with a tumour, where there is one.

        Raises:
            InputError: No slice shows enough of a head.
        """
        self._config = config
        self._tumour_share = tumour_share
        if config.crop_yx:
            self._size_yx = config.crop_yx
        else:
            # A case whose ears were not found is larger than the others, and a batch has one size.
            rows, columns = np.min([case.image.shape[1:] for case in cases], axis=0).tolist()
            self._size_yx = (rows, columns)

        def with_head(case: PreparedCase) -> np.ndarray:
            return np.flatnonzero(np.array(case.foreground) >= config.min_foreground)

        def with_tumour(case: PreparedCase) -> np.ndarray:
            return np.flatnonzero(case.tumour_voxels)

        self._all = _by_site(cases, with_head)
        self._tumours = _by_site(cases, with_tumour)
        if not self._all:
            raise InputError(
                f"no slice of {len(cases)} cases holds {config.min_foreground:.0%} of head; is the data right?"
            )

    def sample(self, generator: np.random.Generator, rows: float = 0.0) -> list[Pick]:
        """Choose a batch; `load_slices` reads it.

        Two samplers that are given `rows` and -`rows` choose parts that lie so many rows apart in the mean: the first
        leaves out so many of the uppermost, the second of the lowest, as far as parts are smaller than slices.
        """
        return [self._sample_one(generator, rows) for _ in range(self._config.batch_size)]

    def _sample_one(self, generator: np.random.Generator, rows: float) -> Pick:
        # A seed fixes a run, so the order in which random numbers are taken must stay.
        wants_tumour = bool(self._tumours) and generator.random() < self._tumour_share
        sites = self._tumours if wants_tumour else self._all
        # By site first: a site with few cases is seen as often as one with many.
        site = generator.choice(sorted(sites))
        cases = sites[site]
        case, slices = cases[generator.integers(len(cases))]
        index = int(generator.choice(slices))

        height, width = self._size_yx
        whole_height, whole_width = case.image.shape[1:]
        room_y = whole_height - height
        room_x = whole_width - width

        # Rounded up or down by chance, so that the mean is `rows`.
        left_out = int(abs(rows) + generator.random())
        left_out = min(left_out, room_y)
        top = int(generator.integers(room_y - left_out + 1))
        if rows > 0:
            top += left_out
        left = int(generator.integers(room_x + 1))
        box_y = slice(top, top + height)
        box_x = slice(left, left + width)

        mirrored = self._config.flip and generator.random() < 0.5
        return Pick(case, index, (box_y, box_x), mirrored)


def load_slices(picks: list[Pick]) -> torch.Tensor:
    """The chosen parts of slices, (B, 1, Y, X) float32 in [-1, 1]."""
    parts = []
    for pick in picks:
        parts.append(_part(pick, pick.case.image))
    return _batch(parts)


def load_labels(picks: list[Pick]) -> torch.Tensor:
    """The labels of the chosen parts, (B, 1, Y, X) float32. Raises ValueError for a case without a label."""
    parts = []
    for pick in picks:
        parts.append(_part(pick, pick.case.labels))
    return _batch(parts)


def _part(pick: Pick, volume: np.ndarray) -> np.ndarray:
    part = volume[pick.index][pick.box]  # (Y, X), still on disk
    if pick.mirrored:
        return np.fliplr(part)
    return part


def _batch(parts: list[np.ndarray]) -> torch.Tensor:
    batch = np.stack(parts).astype(np.float32)
    return torch.from_numpy(batch[:, np.newaxis])


def _by_site(cases: list[PreparedCase], choose: Callable[[PreparedCase], np.ndarray]) -> Sites:
    """The sites with the slices that `choose` names of each case; cases without any are left out."""
    sites: Sites = {}
    for case in cases:
        slices = choose(case)
        if len(slices):
            sites.setdefault(case.site or UNKNOWN_SITE, []).append((case, slices))
    return sites
