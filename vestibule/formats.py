"""Formats that masks can be written in beside their own, and files that tell viewers what labels mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vestibule import bids
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.files import atomic, write_text
from vestibule.inputs import Case, image_stem

if TYPE_CHECKING:
    from vestibule.dicom.conversion import Converted

NRRD, NAMES, BIDS, SEG, RTSTRUCT = FORMATS = ("nrrd", "names", "bids", "dicom-seg", "rtstruct")
OF_DICOM = (SEG, RTSTRUCT)
"""Formats that refer to the DICOM images which a mask was made of."""

COLOURS = {TUMOUR: (214, 39, 40), "cochlea": (31, 119, 180)}
"""Red, green and blue of structures in viewers."""
OTHER_COLOUR = (0, 160, 0)


def check_formats(formats: Sequence[str], is_dicom: bool) -> None:
    """Raise InputError where a format is asked for that refers to DICOM images, and the input is none."""
    for name in formats:
        if name in OF_DICOM and not is_dicom:
            raise InputError(
                f"--write {name}: refers to DICOM images, and INPUT holds none; name a folder of DICOM files"
            )


def check_names(formats: Sequence[str], cases: Sequence[Case]) -> None:
    """Raise InputError where a format's files of two cases would have one name."""
    if BIDS in formats:
        bids.names_of([case.name for case in cases])


def write_once(folder: Path, formats: Sequence[str], edition: Edition) -> None:
    """Write what formats have once for all masks in a folder."""
    if NAMES in formats:
        write_names(folder, edition)
    if BIDS in formats:
        bids.write_dataset(folder / bids.FOLDER)


def write_formats(
    case: Case, formats: Sequence[str], edition: Edition, converted: Converted | None = None
) -> list[Path]:
    """Write the mask of a case in further formats, beside it.

    Args:
        case: With its mask written.
        formats: Some of `FORMATS`.
        edition: What the labels mean.
        converted: The series that the images were made of, where they were DICOM.

    Returns:
        The masks that were written; a mask without any structure has no SEG and no RTSTRUCT.

    Raises:
        InputError: The mask cannot be read, or the disk refuses.
    """
    stem = image_stem(case.mask_path) or case.name
    folder = case.mask_path.parent
    written = []
    if NRRD in formats:
        path = folder / f"{stem}.nrrd"
        _write_nrrd(case.mask_path, path)
        written.append(path)
    if BIDS in formats:
        labels = {value: (title, "#{:02x}{:02x}{:02x}".format(*colour)) for value, title, colour in _labels(edition)}
        written.append(bids.write_mask(folder / bids.FOLDER, case, labels))
    of_dicom = [name for name in formats if name in OF_DICOM]
    if of_dicom and converted is not None:
        from vestibule.dicom.conversion import write_results

        stack = converted.stacks[image_stem(case.image_path) or ""]
        written += write_results(case.mask_path, stack, of_dicom, edition, stem, folder)
    return written


def write_names(folder: Path, edition: Edition) -> list[Path]:
    """Write what the labels of an edition are called, for 3D Slicer (`labels.ctbl`) and ITK-SNAP (`labels.txt`)."""
    slicer = ["# Color table file for masks of vestibule. Not for clinical use.", "0 background 0 0 0 0"]
    snap = ["# ITK-SNAP label description file: number, red, green, blue, opacity, visible, mesh, name"]
    snap.append('0 0 0 0 0 0 0 "background"')
    for value, title, (red, green, blue) in _labels(edition):
        plain = title.replace(" ", "_")
        slicer.append(f"{value} {plain} {red} {green} {blue} 255")
        snap.append(f'{value} {red} {green} {blue} 1 1 1 "{title}"')
    written: list[Path] = []
    for name, lines in (("labels.ctbl", slicer), ("labels.txt", snap)):
        path = folder / name
        write_text(path, "\n".join(lines) + "\n")
        written.append(path)
    return written


def _labels(edition: Edition) -> Iterator[tuple[int, str, tuple[int, int, int]]]:
    """Each label value with what it is called and its colour."""
    for structure, values in edition.structures.items():
        for value in values:
            yield value, _title(structure, value, edition), COLOURS.get(structure, OTHER_COLOUR)


def _title(structure: str, value: int, edition: Edition) -> str:
    """What a label value is called: by the part that it stands for, where the edition tells parts apart."""
    for part, values in edition.parts.items():
        if values == (value,):
            return edition.anatomy_of(part).title
    return edition.anatomy_of(structure).title


def _write_nrrd(mask_path: Path, path: Path) -> None:
    # Not needed for `--help`, and slow to import.
    import SimpleITK as sitk

    from vestibule.volume import read_labels, to_image

    image = to_image(read_labels(mask_path))
    with atomic(path) as partial:
        # Compressed, as most of a mask is background.
        sitk.WriteImage(image, str(partial), True)
