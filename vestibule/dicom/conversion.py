"""DICOM before and after a prediction: T2 series as images to segment, masks back as objects that refer to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestibule.dicom.headers import T1, T1_CONTRAST, T2, find_series
from vestibule.dicom.images import Stack, read_stack
from vestibule.dicom.naming import names_of
from vestibule.dicom.results import write_rtstruct, write_seg
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.formats import RTSTRUCT, SEG
from vestibule.volume import read_labels, write_volume

WRITERS = {SEG: (write_seg, "_SEG.dcm"), RTSTRUCT: (write_rtstruct, "_RTSTRUCT.dcm")}
"""Formats with what writes them and what their files end in."""


@dataclass
class Converted:
    """T2 series of a folder, as files."""

    folder: Path
    """Holds them as NIfTI, named as T2."""
    stacks: dict[str, Stack] = field(default_factory=dict)
    """The series of each file, by its stem. Its voxels are dropped."""
    refused: list[str] = field(default_factory=list)
    """One line for each series that is no volume, and each file that cannot be read."""


def convert(input_dir: Path, scratch: Path) -> Converted:
    """Write the T2 series in a folder, and in all folders in it, to `scratch`.

    Where none is T2 by its name or its times, every MR series that is not T1 is taken.

    Raises InputError where there is no such series.
    """
    found = find_series(input_dir)
    images = [one for one in found.series if one.is_image]
    chosen = [one for one in images if one.kind == T2]
    if not chosen:
        chosen = [one for one in images if one.kind not in (T1, T1_CONTRAST)]
    if not chosen and not found.problems:
        there = ", ".join(repr(one.description) for one in images) or "none"
        raise InputError(f"{input_dir}: no T2 series among its MR series, which are {there}")

    converted = Converted(scratch, refused=list(found.problems))
    names = names_of(chosen)
    for series in chosen:
        name = names[series.uid]
        try:
            stack = read_stack(series)
            write_volume(scratch / f"{name}.nii.gz", stack.volume)
        except InputError as error:
            converted.refused.append(str(error))
            continue
        converted.stacks[name] = stack.without_voxels()
    return converted


def write_results(
    mask_path: Path, stack: Stack, formats: Sequence[str], edition: Edition, stem: str, output_dir: Path
) -> list[Path]:
    """Write a mask in further formats.

    Args:
        mask_path: The mask, on the grid of the stack.
        stack: The series that it was made of.
        formats: Names in `WRITERS`.
        edition: What its labels mean.
        stem: What the files are called before their endings.
        output_dir: Where they go.

    Returns:
        What was written; an empty mask has nothing to write.

    Raises:
        InputError: The mask cannot be read, or the disk refuses.
    """
    labels = read_labels(mask_path).voxels
    written = []
    for name in formats:
        write, ending = WRITERS[name]
        path = output_dir / f"{stem}{ending}"
        if write(path, labels, stack, edition):
            written.append(path)
    return written
