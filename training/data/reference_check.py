"""What can be told of the reference slice before any image is prepared: whether it is there, its size, its tumour."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from training.config import RunConfig
from training.data.raw_cases import KnownCases, RawCase
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.volume import read_labels, read_scan, reorient


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
        known: The run's cases; those of their files that matter are read, where they are there yet.

    Returns:
        Its size and whether its tumour is outlined; of labels that are not made yet it is taken for granted.

    Raises:
        InputError: The configuration names no slice that can serve, or too few labelled ones are there to choose from.
    """
    edition = get_edition(config.edition)
    if config.reference.case is None:
        _require_tumours(config.reference.count, known, edition)
        outlined = True
    else:
        case = _named_case(config.reference.case, known)
        # Of the run's own phantoms the configuration may tell how many slices they will have.
        planned_zyx = config.phantom.shape_zyx if config.phantom else None
        index = _usable_index(config.reference.slice, case, planned_zyx)
        outlined = _shows_tumour(case, index, edition)

    rows, columns = config.prepare.size_yx
    crop_px = config.reference.crop_px
    # A slice without an outlined tumour has no middle to crop around.
    if crop_px and outlined:
        rows = min(rows, crop_px)
        columns = min(columns, crop_px)
    return ExpectedReference((rows, columns), outlined)


def _require_tumours(wanted: int, known: KnownCases, edition: Edition) -> None:
    """Raise InputError where fewer than `wanted` T2 cases have a label with a tumour."""
    labels = [case.label for case in known.of("target") if case.label]
    if not labels:
        raise InputError(
            "no labelled T2 training image to choose the reference slice from; set reference.case and reference.slice"
        )

    found = 0
    for path in labels:
        if path.is_file():
            labels_of_case = read_labels(path).voxels  # (Z, Y, X)
            shows = bool(edition.mask_of(labels_of_case, TUMOUR).any())
        else:
            # A phantom that is not made yet; most have a tumour.
            shows = True
        if shows:
            found += 1
        # Reading goes no farther than it must.
        if found == wanted:
            return
    raise InputError(f"reference.count asks for {wanted} cases; {found} labelled T2 training images show a tumour")


def _named_case(name: str, known: KnownCases) -> RawCase:
    targets = {case.name: case for case in known.of("target")}
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=1)
        first = list(targets)[:3]
        hint = f"did you mean {near[0]!r}?" if near else f"the first ones are {', '.join(first)}"
        raise InputError(f"reference.case {name!r} is no T2 training case; {hint}")
    return targets[name]


def _usable_index(index: int | None, case: RawCase, planned_zyx: tuple[int, int, int] | None) -> int:
    """The configured index. Raises InputError where there is none, or the image has no such slice or a constant one.

    `planned_zyx` are the voxels of an image that is not made yet, where that is known.
    """
    if not case.image.is_file():
        if index is None or index < 0:
            raise InputError(f"reference.slice must be a slice of {case.name}, counted from 0, got {index}")
        if planned_zyx is not None and index >= planned_zyx[0]:
            raise InputError(f"reference.slice must be from 0 to {planned_zyx[0] - 1} for {case.name}, got {index}")
        return index

    # Slices are counted as those of the prepared volume, which lies along the patient's axes.
    oriented = reorient(read_scan(case.image))
    voxels = oriented.voxels  # (Z, Y, X)
    last = len(voxels) - 1
    if index is None or not 0 <= index <= last:
        raise InputError(f"reference.slice must be from 0 to {last} for {case.name}, got {index}")
    section = voxels[index]
    if section.min() == section.max():
        raise InputError(f"{case.name}: slice {index} is constant; choose another reference slice")
    return index


def _shows_tumour(case: RawCase, index: int, edition: Edition) -> bool:
    if case.label is None:
        return False
    if not case.label.is_file():
        return True
    oriented = reorient(read_labels(case.label))
    section = oriented.voxels[index]  # (Y, X)
    return bool(edition.mask_of(section, TUMOUR).any())
