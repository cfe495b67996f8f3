"""The one slice of T2 that a harmoniser learns, and the tumour in it: given, or sampled among labelled slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.arrays import read_arrays
from training.data.slices import PreparedCase, read_cases
from training.stage_table import HARMONISER
from vestibule.editions import TUMOUR, get_edition
from vestibule.errors import InputError
from vestibule.files import read_json, write_json

GIVEN, SAMPLED = "given", "sampled"
"""Ways in which a reference slice is chosen: by the configuration, or at random."""
RECORD, IMAGES = "reference.json", "reference.npz"
"""Files of a saved reference slice: what is known of it, and its image and mask."""


@dataclass(frozen=True)
class Reference:
    """The one slice, and the tumour in it."""

    case: str
    slice: int
    chosen: str
    """`GIVEN` or `SAMPLED`."""
    image: np.ndarray
    """Float32 (Y, X) in [-1, 1], cropped if the configuration says so."""
    tumour: np.ndarray
    """Bool (Y, X); all False where the slice has no label."""

    def save(self, folder: Path) -> list[Path]:
        """Write the slice to `folder`; returns the files' paths."""
        images = folder / IMAGES
        np.savez(images, image=self.image, tumour=self.tumour)
        record = folder / RECORD
        content = {
            "case": self.case,
            "slice": self.slice,
            "chosen": self.chosen,
        }
        write_json(record, content)
        return [images, record]

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """The slice that `save` wrote to `folder`. Raises InputError where there is none."""
        record = read_json(folder / RECORD)
        if not record:
            raise InputError(f"{folder}: holds no reference slice; run the stage {HARMONISER.name!r} first")
        image, tumour = read_arrays(folder / IMAGES, "image", "tumour")
        return cls(image=image, tumour=tumour, **record)


def choose_references(config: RunConfig, run_dir: Path) -> list[Reference]:
    """The reference slices: the configured one, or some sampled by the run's seed among labelled slices with a tumour.

    Of several, each is of another case.

    Args:
        config: Its sections `reference` and `edition`, and the seed.
        run_dir: Folder of a run with prepared cases.

    Returns:
        As many slices as the configuration asks for, at least one.

    Raises:
        InputError: The case is unknown, too few slices qualify, or a slice is constant.
    """
    settings = config.reference
    cases = read_cases(run_dir, "target")
    if settings.case is not None:
        return [_given(cases, config)]

    candidates = []
    for case in cases:
        for index, tumour_px in enumerate(case.tumour_voxels):
            if tumour_px >= settings.min_tumour_px:
                candidates.append((case, index))
    if not candidates:
        raise InputError(
            f"no labelled target slice shows {settings.min_tumour_px} tumour pixels; name one by reference.case and "
            "reference.slice"
        )

    # A stream of its own, so that what other stages sample by the run's seed is independent of it.
    generator = np.random.default_rng([config.seed, 2])
    references: list[Reference] = []
    while candidates and len(references) < settings.count:
        place = generator.integers(len(candidates))
        case, index = candidates[place]
        reference = _reference(case, index, SAMPLED, config)
        references.append(reference)
        candidates = [other for other in candidates if other[0].name != case.name]
    if len(references) < settings.count:
        raise InputError(
            f"reference.count asks for {settings.count} cases; {len(references)} labelled ones show a tumour"
        )
    return references


def _given(cases: list[PreparedCase], config: RunConfig) -> Reference:
    """The configured slice. Raises InputError where there is none such."""
    wanted = config.reference.case
    index = config.reference.slice
    by_name = {case.name: case for case in cases}
    if wanted not in by_name:
        first_ones = list(by_name)[:3]
        raise InputError(f"reference.case {wanted!r} is no target case; the first ones are {first_ones}")

    case = by_name[wanted]
    last = len(case.image) - 1
    if index is None or not 0 <= index <= last:
        raise InputError(f"reference.slice must be from 0 to {last} for {case.name}, got {index}")
    return _reference(case, index, GIVEN, config)


def _reference(case: PreparedCase, index: int, chosen: str, config: RunConfig) -> Reference:
    """A slice of `case` as a reference, cropped. Raises InputError where it is constant."""
    image = np.asarray(case.image[index], dtype=np.float32)  # (Y, X)
    if image.min() == image.max():
        raise InputError(f"{case.name}: slice {index} is constant; choose another reference slice")
    tumour = np.zeros(image.shape, dtype=bool)
    if case.label_path:
        edition = get_edition(config.edition)
        labels = case.labels[index]
        tumour = edition.mask_of(labels, TUMOUR)

    # Around the tumour: a slice without one is taken whole, since nothing tells which part of it matters.
    width = config.reference.crop_px
    if width and tumour.any():
        size_y, size_x = image.shape
        occupied_y = np.flatnonzero(tumour.any(axis=1))
        occupied_x = np.flatnonzero(tumour.any(axis=0))
        rows = crop_range(occupied_y, size_y, width)
        columns = crop_range(occupied_x, size_x, width)
        image = image[rows, columns]
        tumour = tumour[rows, columns]
    return Reference(
        case=case.name,
        slice=index,
        chosen=chosen,
        image=image,
        tumour=tumour,
    )


def crop_range(occupied: np.ndarray, size: int, width: int) -> slice:
    """`width` indices around the middle of the `occupied` ones, moved inside 0 to `size`, as a slice."""
    width = min(width, size)
    first = int(occupied[0])
    last = int(occupied[-1])
    middle = (first + last + 1) // 2
    start = max(0, middle - width // 2)
    start = min(start, size - width)
    return slice(start, start + width)
