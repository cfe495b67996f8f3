"""What can be told of the reference slice before any image is prepared: whether it is there, its size, its tumour."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from training.config import RunConfig
from training.data.dataset_check import size_in_patient_order
from training.data.raw_cases import KnownCases, RawCase
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.volume import read_header, read_labels, reorient


@dataclass(frozen=True)
class ExpectedReference:
    """The reference slice as it will be."""

    size_yx: tuple[int, int]
    """Working pixels, after the crop where there is one."""
    outlined: bool
    """Whether it shows a labelled tumour."""


def expected_reference(config: RunConfig, known: KnownCases) -> ExpectedReference:
    """What the reference slice will be.

    Args:
        config: The whole configuration.
        known: The run's cases; labels and headers are read where the files are there.

    Returns:
        Its size and whether its tumour is outlined; of labels that are not made yet it is taken for granted.

    Raises:
        InputError: The configuration names no slice that there is, or too few labelled ones are there to choose from.
    """
    if config.reference.case is None:
        _require_labelled(config, known)
        outlined = True
    else:
        case = _named_case(config.reference.case, known)
        outlined = _shows_tumour(case, _index_within(config, case), get_edition(config.edition))
    rows, columns = config.prepare.size_yx
    crop_px = config.reference.crop_px
    # A slice without an outlined tumour has no middle to crop around.
    if crop_px and outlined:
        rows = min(rows, crop_px)
        columns = min(columns, crop_px)
    return ExpectedReference((rows, columns), outlined)


def _require_labelled(config: RunConfig, known: KnownCases) -> None:
    count = len(known.labelled_targets)
    wanted = config.reference.count
    if count == 0:
        raise InputError(
            "no labelled T2 training image to choose the reference slice from; set reference.case and reference.slice"
        )
    if count < wanted:
        raise InputError(f"reference.count asks for {wanted} cases; {count} T2 training images have labels")


def _named_case(name: str, known: KnownCases) -> RawCase:
    targets = {case.name: case for case in known.of("target")}
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=1)
        first = ", ".join(list(targets)[:3])
        hint = f"did you mean {near[0]!r}?" if near else f"the first ones are {first}"
        raise InputError(f"reference.case {name!r} is no T2 training case; {hint}")
    return targets[name]


def _index_within(config: RunConfig, case: RawCase) -> int:
    """The configured index. Raises InputError where there is none, or the image has fewer slices."""
    index = config.reference.slice
    last: int | None = None
    if case.image.is_file():
        geometry, _ = read_header(case.image)
        slices, _, _ = size_in_patient_order(geometry)
        last = slices - 1
    too_high = index is not None and last is not None and index > last
    if index is None or index < 0 or too_high:
        end = "the last" if last is None else last
        raise InputError(f"reference.slice must be from 0 to {end} for {case.name}, got {index}")
    return index


def _shows_tumour(case: RawCase, index: int, edition: Edition) -> bool:
    if case.label is None:
        return False
    if not case.label.is_file():
        return True
    labels = reorient(read_labels(case.label)).voxels
    return bool(edition.mask_of(labels[index], TUMOUR).any())
