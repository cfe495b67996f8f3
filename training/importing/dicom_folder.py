"""Any folder of DICOM files as NIfTI images, sorted by what they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestibule.csv_cells import escaped
from vestibule.dicom.headers import OTHER, T1, T1_CONTRAST, T2, Series, find_series
from vestibule.dicom.images import read_stack
from vestibule.dicom.naming import names_of
from vestibule.errors import InputError
from vestibule.files import write_text
from vestibule.volume import write_volume

FOLDERS = {T1_CONTRAST: "T1_contrast", T1: "T1", T2: "T2", OTHER: "other"}
"""Folder of each kind of series."""
TABLE = "series.csv"
COLUMNS = ("patient", "date", "description", "kind", "files", "image", "problem", "folder")


@dataclass(frozen=True)
class Imported:
    """What became of a series or of a file that is none."""

    series: Series | None
    image: Path | None = None
    problem: str | None = None


def import_folder(
    folder: Path, out_dir: Path, on_series: Callable[[int, int], None] = lambda done, total: None
) -> list[Imported]:
    """Write every MR series in `folder` to `out_dir`, in a folder of its kind, and a table of all to `series.csv`.

    A series that cannot be read as a volume has its problem named, and the others go on.

    Args:
        folder: Searched with all folders in it.
        out_dir: Where `T1_contrast`, `T1`, `T2` and `other` are made.
        on_series: Told how many series of how many are done.

    Returns:
        What became of each, in the order of patients and dates.

    Raises:
        InputError: There is no DICOM file.
    """
    found = find_series(folder)
    images = [one for one in found.series if one.is_image]
    imported = [Imported(None, problem=problem) for problem in found.problems]
    names = names_of(images)
    for number, series in enumerate(images, start=1):
        try:
            path = out_dir / FOLDERS[series.kind] / f"{names[series.uid]}.nii.gz"
            stack = read_stack(series)
            write_volume(path, stack.volume)
            imported.append(Imported(series, path))
        except InputError as error:
            imported.append(Imported(series, problem=str(error)))
        on_series(number, len(images))
    write_text(out_dir / TABLE, _table(imported, out_dir))
    return imported


def _table(imported: Sequence[Imported], out_dir: Path) -> str:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for item in imported:
        image = item.image.relative_to(out_dir).as_posix() if item.image else ""
        problem = escaped(item.problem or "")
        series = item.series
        if series is None:
            table.writerow(["", "", "", "", "", image, problem, ""])
            continue
        texts = [escaped(text) for text in (series.patient, series.date, series.description)]
        table.writerow([*texts, series.kind, len(series.files), image, problem, escaped(str(series.where))])
    return stream.getvalue()
