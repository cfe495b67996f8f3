"""Vestibular-Schwannoma-MC-RC as TCIA delivers it (Kujawa et al., Frontiers in Computational Neuroscience 2024).

A patient is a folder `VS-MC-RC-NNN` with DICOM series of several dates in it. The masks are a download of their own:
NIfTI files `<patient>/<date>/..._T1.nii.gz` or `..._T2.nii.gz`, and a table `...segmentation-info....csv` that tells
which series each was outlined on. Only the tumour is outlined. Images without a mask are left out: those that the
challenge keeps for itself are among them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from training.importing.collection import OpenCollection
from training.importing.grids import taken_over
from training.importing.patients import Scan, check_patient
from vestibule.dicom.headers import Series, find_series
from vestibule.dicom.images import read_stack
from vestibule.dicom.naming import case_name
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, read_labels

COLLECTION = OpenCollection("Vestibular-Schwannoma-MC-RC", "VS-MC-RC-")
TABLE = "*segmentation-info*.csv"
SERIES, MASK = COLUMNS = ("series_instance_uid", "SegmentationPath")
"""Columns of the table that are read."""
_CONTRAST = re.compile(r".*?(t[12])[a-z]*", re.IGNORECASE)
LOST = 0.1
"""Share of a mask's volume that may get lost on the way to the grid of its image, which has the same voxels."""


@dataclass(frozen=True)
class Outlined:
    """A mask, and the series that it was outlined on."""

    path: Path
    patient: str
    """As in the name of a case."""
    date: str
    contrast: str
    """`T1` or `T2`."""


def read_table(masks: Path) -> dict[str, Outlined]:
    """The masks in the folder `masks`, by the UID of the series that each was outlined on.

    Rows whose mask is not there are passed over: those of the challenge's own patients are not given.

    Raises:
        InputError: There is no such folder or no single table in it, the table lacks a column, two masks are of one
            series, or none of its masks is there.
    """
    if not masks.is_dir():
        raise InputError(f"{masks}: no such folder; expected the unpacked masks of {COLLECTION.title}")
    tables = sorted(masks.rglob(TABLE))
    if len(tables) != 1:
        raise InputError(f"{masks}: expected one table called {TABLE}, found {len(tables)}")
    (table,) = tables
    # By patient, date and name: what stands before them depends on how the download was unpacked.
    there = {path.parts[-3:]: path for path in sorted(masks.rglob("*.nii.gz"))}

    found: dict[str, Outlined] = {}
    for row in _rows(table):
        uid = (row[SERIES] or "").strip()
        place = PurePosixPath((row[MASK] or "").strip().replace("\\", "/"))
        path = there.get(place.parts[-3:])
        if path is None:
            continue
        if uid in found:
            raise InputError(f"{table}: {found[uid].path.name} and {path.name} are both of series {uid}")
        patient, date, name = path.parts[-3:]
        found[uid] = Outlined(path, case_name(patient), date, _contrast_of(name, path))
    if not found:
        raise InputError(f"{table}: none of its masks is in {masks}")
    return found


def _rows(table: Path) -> list[dict[str, str | None]]:
    """The rows of the table. Raises InputError where it cannot be read or lacks a column."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read as CSV ({error})") from error
    for column in COLUMNS:
        if column not in columns:
            raise InputError(f"{table}: expected a column {column!r}, got {', '.join(map(repr, columns))}")
    return rows


def _contrast_of(name: str, path: Path) -> str:
    """T1 or T2, which the last word of a mask's name tells."""
    word = name.partition(".")[0].rpartition("_")[2]
    match = _CONTRAST.fullmatch(word)
    if match is None:
        raise InputError(f"{path}: its name does not tell T1 from T2; expected it to end in _T1 or _T2")
    return match[1].upper()


def contrasts_of(folders: Sequence[Path], outlined: Mapping[str, Outlined]) -> dict[str, set[str]]:
    """What is outlined of each patient who has a folder, by the name of a case; a patient without any is left out."""
    here = {case_name(folder.name) for folder in folders}
    found: dict[str, set[str]] = {}
    for mask in outlined.values():
        if mask.patient in here:
            found.setdefault(mask.patient, set()).add(mask.contrast)
    return found


def read_patient(folder: Path, edition: Edition, outlined: Mapping[str, Outlined]) -> list[Scan]:
    """Read the outlined images of a patient, of every date.

    Args:
        folder: `VS-MC-RC-NNN`.
        edition: Whose label values are written; one with a single value for the tumour.
        outlined: The masks, by the UID of their series.

    Returns:
        An image each; its case is called by the patient and the date.

    Raises:
        InputError: An image of a mask is missing, damaged or of another patient, a mask does not lie on its image, or
            two images of a date are alike.
    """
    patient = case_name(folder.name)
    found = find_series(folder)
    if found.problems:
        raise InputError(found.problems[0])
    check_patient(found.series, folder)
    by_uid = {one.uid: one for one in found.series}
    value, *_ = edition.values_of(TUMOUR)

    scans: dict[tuple[str, str], Scan] = {}
    for uid, mask in outlined.items():
        if mask.patient != patient:
            _check_owner(by_uid.get(uid), mask)
            continue
        if uid not in by_uid:
            raise InputError(f"{mask.path}: was outlined on a series that {folder} does not have")
        volume = read_stack(by_uid[uid]).volume
        labels = _on_grid(mask.path, volume.geometry) * np.uint8(value)
        case = f"{patient}_{by_uid[uid].date or case_name(mask.date)}"
        if (case, mask.contrast) in scans:
            raise InputError(f"{mask.path}: of this date {folder.name} has another outlined {mask.contrast}; keep one")
        taken_for = {TUMOUR: mask.path.name}
        scans[case, mask.contrast] = Scan(case, mask.contrast, volume, labels, taken_for)
    return list(scans.values())


def _check_owner(series: Series | None, mask: Outlined) -> None:
    """Raise InputError where a patient has a series whose mask is called as that of another one."""
    if series is not None:
        raise InputError(f"{mask.path}: is a mask of {mask.patient}, outlined on a series of {series.patient}")


def _on_grid(path: Path, geometry: Geometry) -> np.ndarray:
    """A mask (Z, Y, X) uint8 of 0 and 1 on the grid of its image: writers order and flip axes as they like.

    Raises InputError where a part of it lies out of the image.
    """
    mask = read_labels(path)
    mask = mask.with_voxels((mask.voxels > 0).astype(np.uint8))
    labels = taken_over(mask, geometry, None)
    before_mm3 = int(mask.voxels.sum()) * float(np.prod(mask.geometry.spacing_zyx))
    after_mm3 = int(labels.sum()) * float(np.prod(geometry.spacing_zyx))
    if before_mm3 == 0:
        raise InputError(f"{path}: an empty mask; expected a tumour")
    if abs(after_mm3 - before_mm3) > LOST * before_mm3:
        raise InputError(
            f"{path}: does not lie on its image, where {after_mm3:.0f} of its {before_mm3:.0f} mm3 would be left"
        )
    return labels
