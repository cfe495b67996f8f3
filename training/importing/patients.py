"""Scans of imported patients, and the data set in the challenge's shape that they are written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.importing.names import COCHLEA
from vestibule.csv_cells import escaped
from vestibule.dicom.headers import T1, T2, Series
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.files import file_sha256, write_json, write_text
from vestibule.volume import Volume, write_volume

RECORD = "import.json"
"""Says where a data set comes from; its presence marks data that is not the challenge's."""
TABLE = "cases.csv"
STRUCTURES = (TUMOUR, COCHLEA)
SOURCE, TARGET, VALIDATION = PARTS = ("source", "target", "validation")
"""Labelled T1, unlabelled T2 for training, and unseen T2 with references."""


@dataclass(frozen=True)
class Scan:
    """An image of a patient, and the labels on its grid."""

    case: str
    """What its files are called before their endings."""
    contrast: str
    """`T1` or `T2`."""
    volume: Volume
    labels: np.ndarray
    """Uint8 (Z, Y, X) of the edition's values."""
    taken_for: dict[str, str] = field(default_factory=dict)
    """Structure -> the name that it had."""


@dataclass(frozen=True)
class Written:
    """A case of the data set."""

    case: str
    part: str
    files: tuple[Path, ...]
    taken_for: dict[str, str]


def split_by_patient(
    names: Sequence[str],
    shares: tuple[int, int, int],
    seed: int,
    contrasts: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """The part that each patient belongs to, by chance and by `seed` alone.

    Args:
        names: All patients; their order does not matter.
        shares: How the patients are shared out to labelled T1, T2 for training and unseen T2; 105, 105, 32 for the
            challenge of 2021.
        seed: Of the shuffle.
        contrasts: What there is of each patient, `T1` and `T2`; by default both. One without T1 is no source,
            and one without T2 nothing else.

    Returns:
        Patient -> one of `PARTS`.
    """
    shuffled = sorted(names)
    np.random.default_rng(seed).shuffle(shuffled)
    whole = sum(shares)
    first = round(len(shuffled) * shares[0] / whole)
    second = round(len(shuffled) * (shares[0] + shares[1]) / whole)
    with_t1, with_t2 = list(shuffled), list(shuffled)
    if contrasts is not None:
        with_t1 = [name for name in shuffled if T1 in contrasts[name]]
        with_t2 = [name for name in shuffled if T2 in contrasts[name]]

    sources = set(with_t1[:first])
    others = [name for name in with_t2 if name not in sources]
    targets = set(others[: second - first])
    parts = {}
    for name in shuffled:
        if name in targets:
            parts[name] = TARGET
        elif name in sources or name not in others:
            parts[name] = SOURCE
        else:
            parts[name] = VALIDATION
    return parts


def check_patient(series: Sequence[Series], folder: Path) -> None:
    """Raise InputError where the series in a folder are of several patients."""
    patients = {one.patient: one for one in series}
    if len(patients) > 1:
        shown = ", ".join(f"{name!r} in {one.where}" for name, one in sorted(patients.items()))
        raise InputError(f"{folder}: holds files of several patients, {shown}")


def write_patient(scans: Sequence[Scan], part: str, edition: Edition, out_dir: Path) -> list[Written]:
    """Write what a part of the data set has of a patient: T1 with labels, T2, or T2 with references."""
    contrast = T1 if part == SOURCE else T2
    return [_write_scan(scan, part, edition, out_dir) for scan in scans if scan.contrast == contrast]


def _write_scan(scan: Scan, part: str, edition: Edition, out_dir: Path) -> Written:
    case = scan.case
    if part == SOURCE:
        folder = out_dir / edition.source_folder
        image = folder / edition.source_name(case)
        label = folder / edition.label_name(case)
    else:
        name = edition.target_folder if part == TARGET else edition.validation_folder
        image = out_dir / name / edition.target_name(case)
        label = edition.references_of(out_dir, name) / edition.label_name(case)

    write_volume(image, scan.volume)
    files = [image]
    # The labels of T2 for training are not given, as in the challenge.
    if part != TARGET:
        write_volume(label, scan.volume.with_voxels(scan.labels))
        files.append(label)
    return Written(case, part, tuple(files), scan.taken_for)


def write_record(
    out_dir: Path, origin: Mapping[str, object], edition: Edition, written: Sequence[Written], failed: Sequence[str]
) -> None:
    """Write which case is in which part, with the sha256 of every file: as JSON, and as a table of cases.

    Args:
        out_dir: The data set.
        origin: The collection, and how the data set was made of it: seed, shares.
        edition: Whose layout and labels it has.
        written: Its cases.
        failed: What could not be imported, a line each.
    """
    cases = []
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["case", "part", "file", "sha256", *STRUCTURES])
    for item in sorted(written, key=lambda one: one.case):
        named = [escaped(item.taken_for.get(structure, "")) for structure in STRUCTURES]
        files = {}
        for path in item.files:
            name = path.relative_to(out_dir).as_posix()
            sha256 = file_sha256(path)
            files[name] = sha256
            table.writerow([item.case, item.part, name, sha256, *named])
        cases.append({"case": item.case, "part": item.part, "files": files, "taken_for": item.taken_for})
    document = {
        **origin,
        "edition": edition.year,
        "outside_the_challenge": True,
        "cases": cases,
        "failed": list(failed),
    }
    write_text(out_dir / TABLE, stream.getvalue())
    write_json(out_dir / RECORD, document)
