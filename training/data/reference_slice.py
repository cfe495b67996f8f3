"""The one slice of T2 that SinGAN learns, and the tumour in it: given, or drawn among labelled slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.slices import PreparedCase, read_cases
from vestibule.editions import get_edition
from vestibule.errors import InputError


@dataclass(frozen=True)
class Reference:
    """The one slice, and the tumour in it."""

    case: str
    slice: int
    chosen: str
    """`given` by the configuration or `drawn` among labelled target slices with a tumour."""
    image: np.ndarray
    """Float32 (Y, X) in [-1, 1], cropped if the configuration says so."""
    tumour: np.ndarray
    """Bool (Y, X); all False where the slice has no label."""


def choose_references(config: RunConfig, run_dir: Path) -> list[Reference]:
    """The reference slice: the configured one, or drawn by the run's seed among labelled slices with a tumour.

    Further ones, where the configuration asks for them, are slices of other cases. Raises InputError where the case is
    unknown, too few slices qualify, or a slice is constant.
    """
    settings = config.reference
    cases = {case.name: case for case in read_cases(run_dir, "target")}
    if settings.case is not None:
        if settings.case not in cases:
            raise InputError(
                f"reference.case {settings.case!r} is no target case; the first ones are {list(cases)[:3]}"
            )
        case = cases[settings.case]
        if settings.slice is None or not 0 <= settings.slice < len(case.image):
            raise InputError(
                f"reference.slice must be from 0 to {len(case.image) - 1} for {case.name}, got {settings.slice}"
            )
        return [_reference(case, settings.slice, "given", config)]
    candidates = [
        (case, index)
        for case in cases.values()
        for index, voxels in enumerate(case.tumour_voxels)
        if voxels >= settings.min_tumour_px
    ]
    if not candidates:
        raise InputError(
            f"no labelled target slice shows {settings.min_tumour_px} tumour pixels; name one by reference.case "
            "and reference.slice"
        )
    generator, references = np.random.default_rng([config.seed, 2]), []
    while candidates and len(references) < settings.count:
        case, index = candidates[generator.integers(len(candidates))]
        references.append(_reference(case, index, "drawn", config))
        candidates = [other for other in candidates if other[0].name != case.name]
    if len(references) < settings.count:
        raise InputError(
            f"reference.count asks for {settings.count} cases; {len(references)} labelled ones show a tumour"
        )
    return references


def _reference(case: PreparedCase, index: int, chosen: str, config: RunConfig) -> Reference:
    image = np.asarray(case.image[index], dtype=np.float32)
    if image.min() == image.max():
        raise InputError(f"{case.name}: slice {index} is constant; choose another reference slice")
    tumour = np.zeros(image.shape, dtype=bool)
    if case.label_path:
        tumour = np.isin(case.labels[index], get_edition(config.edition).structures["vs"])
    if config.reference.crop_px and tumour.any():
        box = tuple(
            crop_range(np.flatnonzero(tumour.any(axis=1 - axis)), size, config.reference.crop_px)
            for axis, size in enumerate(image.shape)
        )
        image, tumour = image[box], tumour[box]
    return Reference(case.name, index, chosen, image, tumour)


def crop_range(occupied: np.ndarray, size: int, width: int) -> slice:
    """`width` indices around the middle of the `occupied` ones, moved inside 0 to `size`, as a slice."""
    width = min(width, size)
    middle = (int(occupied[0]) + int(occupied[-1]) + 1) // 2
    start = min(max(0, middle - width // 2), size - width)
    return slice(start, start + width)
