"""A collection of patients, imported in processes side by side: one that fails costs no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from training.importing.patients import (
    Scan,
    Written,
    split_by_patient,
    write_patient,
    write_record,
)
from training.parallel import side_by_side
from vestibule.dicom.naming import case_name
from vestibule.editions import Edition
from vestibule.errors import InputError


@dataclass(frozen=True)
class OpenCollection:
    """An open collection as TCIA delivers it: a folder a patient, with studies and series in it."""

    title: str
    prefix: str
    """What stands before the number in the name of a patient's folder."""
    published: tuple[str, ...] = ()
    """Folders of all its patients; empty where nobody has told them."""

    @property
    def example(self) -> str:
        """What a patient's folder may be called."""
        return f"{self.prefix}001"

    def number_of(self, folder: Path) -> int | None:
        """The number in the name of a patient's folder; None where it is called otherwise."""
        match = re.fullmatch(rf"{re.escape(self.prefix)}0*(\d+)", folder.name, re.IGNORECASE)
        return int(match[1]) if match else None

    def patient_folders(self, download: Path) -> list[Path]:
        """Folders of patients in the download, in the order of their numbers. Raises InputError where there is none."""
        if not download.is_dir():
            raise InputError(f"{download}: no such folder; expected the download of {self.title}")
        found = []
        for path in download.rglob("*"):
            number = self.number_of(path)
            if number is not None and path.is_dir():
                found.append((number, path))
        if not found:
            raise InputError(
                f"{download}: no folder called {self.example} or the like; is it the download of {self.title}?"
            )
        return [path for _, path in sorted(found)]

    def difference(self, folders: Sequence[Path]) -> str | None:
        """In what these patients are not those of the whole collection; None where they are, or nobody has told."""
        if not self.published:
            return None
        here = {case_name(folder.name) for folder in folders}
        whole = {case_name(name) for name in self.published}
        missing, unknown = sorted(whole - here), sorted(here - whole)
        told = []
        if missing:
            told.append(f"{len(missing)} of its {len(whole)} patients are not here ({_shown(missing)})")
        if unknown:
            told.append(f"{len(unknown)} are not among its {len(whole)} patients ({_shown(unknown)})")
        return "; ".join(told) or None


@dataclass(frozen=True)
class ImportSettings:
    """What a data set is made like."""

    edition: Edition
    """Its layout, and its label values."""
    shares: tuple[int, int, int] = (105, 105, 32)
    """Of labelled T1, T2 for training and unseen T2."""
    seed: int = 0
    """Of the split."""
    workers: int | None = None
    """Processes; by default one a core."""


def import_collection(
    collection: OpenCollection,
    folders: Sequence[Path],
    reader: tuple[Callable[..., list[Scan]], tuple[Any, ...]],
    out_dir: Path,
    settings: ImportSettings,
    contrasts: Mapping[str, set[str]] | None = None,
) -> list[str]:
    """Read every patient and write what the split has of him or her, then the record of all.

    The split is by all folders, also those that fail, so that a patient's part does not depend on the others.

    Args:
        collection: Where the images come from.
        folders: One a patient.
        reader: Called with a folder and these further arguments.
        out_dir: The data set; refused where it holds another one.
        settings: What it is made like.
        contrasts: What there is of each patient, by the name of a case; by default T1 and T2.

    Returns:
        What could not be imported, a line a patient.

    Raises:
        InputError: OUT holds something else, two folders have one name, or no patient could be imported.
    """
    _check_empty(out_dir)
    names = [case_name(folder.name) for folder in folders]
    for index, name in enumerate(names):
        earlier = names.index(name)
        if earlier != index:
            raise InputError(f"{folders[index]}: is called as {folders[earlier]}; keep one of them")
    parts = split_by_patient(names, settings.shares, settings.seed, contrasts)
    jobs = [(folder, parts[name]) for folder, name in zip(folders, names, strict=True)]

    work = partial(_import_one, reader=reader, edition=settings.edition, out_dir=out_dir)
    results = side_by_side(work, jobs, settings.workers, title="patients")
    written: list[Written] = []
    lines: list[str] = []
    for result in results:
        if isinstance(result, str):
            lines.append(result)
        else:
            written += result
    if not written:
        raise InputError(f"{folders[0].parent}: no patient could be imported, the first: {lines[0]}")
    origin = {
        "collection": collection.title,
        "seed": settings.seed,
        "shares": list(settings.shares),
        "differs_from_published": collection.difference(folders),
    }
    write_record(out_dir, origin, settings.edition, written, lines)
    return lines


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _check_empty(out_dir: Path) -> None:
    """Raise InputError where OUT holds anything."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise InputError(f"{out_dir}: is a file; expected a folder to write to")
    if any(out_dir.iterdir()):
        raise InputError(f"{out_dir}: is not empty; name a new folder, so that no case of another import stays in it")


def _import_one(
    folder: Path, part: str, reader: tuple[Callable[..., list[Scan]], tuple[Any, ...]], edition: Edition, out_dir: Path
) -> list[Written] | str:
    """Import a patient; what was written, or why he or she could not be imported."""
    read, arguments = reader
    try:
        scans = read(folder, *arguments)
        return write_patient(scans, part, edition, out_dir)
    except InputError as error:
        return str(error)
    except MemoryError:
        return f"{folder}: does not fit into memory"
