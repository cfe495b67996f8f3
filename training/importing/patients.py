"""Imported patients, and the data set in the challenge's shape that they are written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.importing.names import COCHLEA
from vestibule.csv_cells import escaped
from vestibule.editions import TUMOUR, Edition
from vestibule.files import file_sha256, write_json, write_text
from vestibule.volume import Volume, write_volume

RECORD = "import.json"
"""Says where a data set comes from; its presence marks data that is not the challenge's."""
TABLE = "cases.csv"
STRUCTURES = (TUMOUR, COCHLEA)
SOURCE, TARGET, VALIDATION = PARTS = ("source", "target", "validation")
"""Labelled T1, unlabelled T2 for training, and unseen T2 with references."""


@dataclass(frozen=True)
class Patient:
    """Both images of a patient, and the labels on the grid of each."""

    name: str
    t1: Volume
    t2: Volume
    t1_labels: np.ndarray
    """Uint8 (Z, Y, X) of the edition's values."""
    t2_labels: np.ndarray
    taken_for: dict[str, str] = field(default_factory=dict)
    """Structure -> the name that it had."""


@dataclass(frozen=True)
class Written:
    """A case of the data set."""

    case: str
    part: str
    files: tuple[Path, ...]
    taken_for: dict[str, str]


def split_by_patient(names: Sequence[str], shares: tuple[int, int, int], seed: int) -> dict[str, str]:
    """The part that each patient belongs to, by chance and by `seed` alone.

    Args:
        names: All patients; their order does not matter.
        shares: How the patients are shared out to labelled T1, T2 for training and unseen T2; 105, 105, 32 for the
            challenge of 2021.
        seed: Of the shuffle.

    Returns:
        Patient -> one of `PARTS`.
    """
    shuffled = sorted(names)
    np.random.default_rng(seed).shuffle(shuffled)
    whole = sum(shares)
    first = round(len(shuffled) * shares[0] / whole)
    second = round(len(shuffled) * (shares[0] + shares[1]) / whole)
    parts = {}
    for number, name in enumerate(shuffled):
        if number < first:
            parts[name] = SOURCE
        elif number < second:
            parts[name] = TARGET
        else:
            parts[name] = VALIDATION
    return parts


def write_patient(patient: Patient, part: str, edition: Edition, out_dir: Path) -> Written:
    """Write what a part of the data set has of a patient: T1 with its label, T2, or T2 with a reference."""
    case = patient.name
    if part == SOURCE:
        folder = out_dir / edition.source_folder
        image = folder / edition.source_name(case)
        label = folder / edition.label_name(case)
        volume, labels = patient.t1, patient.t1_labels
    else:
        name = edition.target_folder if part == TARGET else edition.validation_folder
        image = out_dir / name / edition.target_name(case)
        label = edition.references_of(out_dir, name) / edition.label_name(case)
        volume, labels = patient.t2, patient.t2_labels

    write_volume(image, volume)
    files = [image]
    # The labels of T2 for training are not given, as in the challenge.
    if part != TARGET:
        write_volume(label, volume.with_voxels(labels))
        files.append(label)
    return Written(case, part, tuple(files), patient.taken_for)


def write_record(
    out_dir: Path, collection: str, edition: Edition, settings: dict, written: Sequence[Written], failed: Sequence[str]
) -> None:
    """Write which case is in which part, with the sha256 of every file: as JSON, and as a table of cases.

    Args:
        out_dir: The data set.
        collection: Where the images come from.
        edition: Whose layout and labels it has.
        settings: How it was made: seed, shares.
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
        "collection": collection,
        "edition": edition.year,
        "outside_the_challenge": True,
        **settings,
        "cases": cases,
        "failed": list(failed),
    }
    write_text(out_dir / TABLE, stream.getvalue())
    write_json(out_dir / RECORD, document)
