"""A collection of patients, imported in processes side by side: one that fails costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from training.importing.patients import (
    Patient,
    Written,
    split_by_patient,
    write_patient,
    write_record,
)
from training.parallel import side_by_side
from vestibule.dicom.naming import case_name
from vestibule.editions import Edition
from vestibule.errors import InputError


def import_collection(
    collection: str,
    folders: Sequence[Path],
    reader: tuple[Callable[..., Patient], tuple[Any, ...]],
    out_dir: Path,
    edition: Edition,
    shares: tuple[int, int, int],
    seed: int,
    workers: int | None = None,
) -> list[str]:
    """Read every patient and write what the split has of him or her, then the record of all.

    The split is by all folders, also those that fail, so that a patient's part does not depend on the others.

    Args:
        collection: Where the images come from.
        folders: One a patient.
        reader: Called with a folder and these further arguments.
        out_dir: The data set; refused where it holds another one.
        edition: Its layout.
        shares: Of labelled T1, T2 for training and unseen T2.
        seed: Of the split.
        workers: Processes; by default one a core.

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
    parts = split_by_patient(names, shares, seed)
    jobs = [(folder, parts[name]) for folder, name in zip(folders, names, strict=True)]

    work = partial(_import_one, reader=reader, edition=edition, out_dir=out_dir)
    results = side_by_side(work, jobs, workers, title="patients")
    written = [result for result in results if isinstance(result, Written)]
    lines = [result for result in results if isinstance(result, str)]
    if not written:
        raise InputError(f"{folders[0].parent}: no patient could be imported, the first: {lines[0]}")
    settings = {"seed": seed, "shares": list(shares)}
    write_record(out_dir, collection, edition, settings, written, lines)
    return lines


def _check_empty(out_dir: Path) -> None:
    """Raise InputError where OUT holds anything."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise InputError(f"{out_dir}: is a file; expected a folder to write to")
    if any(out_dir.iterdir()):
        raise InputError(f"{out_dir}: is not empty; name a new folder, so that no case of another import stays in it")


def _import_one(
    folder: Path, part: str, reader: tuple[Callable[..., Patient], tuple[Any, ...]], edition: Edition, out_dir: Path
) -> Written | str:
    """Import a patient; what was written, or why he or she could not be imported."""
    read, arguments = reader
    try:
        patient = read(folder, *arguments)
        return write_patient(patient, part, edition, out_dir)
    except InputError as error:
        return str(error)
    except MemoryError:
        return f"{folder}: does not fit into memory"
