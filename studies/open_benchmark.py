"""The open benchmark: which patient of Vestibular-Schwannoma-SEG is in which part, and the sha256 of every file.

    python studies/open_benchmark.py                    the list, as studies/open_benchmark.csv has it
    python studies/open_benchmark.py --check OUT        is OUT, made by `vestibule import tcia-vs-seg`, the benchmark?
    python studies/open_benchmark.py --hashes OUT       the list with the sha256 of the files in OUT, if it is

The parts follow from the patients' names, the shares and the seed alone. The hashes follow from the public download:
the list has them once somebody who has the whole of it prints them into studies/open_benchmark.csv.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

from training.importing.collection import ImportSettings
from training.importing.patients import RECORD, TABLE, split_by_patient
from training.importing.tcia_vs_seg import COLLECTION
from vestibule.dicom.naming import case_name
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import read_json

LIST = Path(__file__).with_suffix(".csv")
COLUMNS = ("case", "part", "file", "sha256")
SETTINGS = ImportSettings(get_edition(2021))
"""Those of the command where nobody names others."""


def main() -> None:
    """Print the list, or compare a data set with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, metavar="OUT", help="an imported data set to compare with the list")
    parser.add_argument("--hashes", type=Path, metavar="OUT", help="an imported data set whose hashes are listed")
    arguments = parser.parse_args()
    imported = arguments.check or arguments.hashes
    if imported is None:
        sys.stdout.write(as_text(planned()))
        return
    try:
        rows = rows_of(imported)
        differences = compared(rows, read_list(LIST))
    except InputError as error:
        sys.exit(f"open_benchmark: error: {error}")
    if differences:
        sys.exit(f"open_benchmark: error: {imported}: {len(differences)} differences, the first: {differences[0]}")
    if arguments.hashes:
        sys.stdout.write(as_text(rows))
        return
    print(f"{imported} is the open benchmark: {len({row['case'] for row in rows})} cases, {len(rows)} files")


def planned() -> list[dict[str, str]]:
    """A row for each published patient, without files, which only the download can tell."""
    names = [case_name(name) for name in COLLECTION.published]
    parts = split_by_patient(names, SETTINGS.shares, SETTINGS.seed)
    return [{"case": name, "part": parts[name], "file": "", "sha256": ""} for name in sorted(names)]


def as_text(rows: list[dict[str, str]]) -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()


def read_list(path: Path) -> list[dict[str, str]]:
    """The rows of a list or of a data set's table. Raises InputError where it cannot be read."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not rows or any(name not in rows[0] for name in COLUMNS):
        raise InputError(f"{path}: expected a table with the columns {', '.join(COLUMNS)}")
    return rows


def rows_of(imported: Path) -> list[dict[str, str]]:
    """The rows of an imported data set. Raises InputError where it is of another collection."""
    record = read_json(imported / RECORD) or {}
    if record.get("collection") != COLLECTION.title:
        raise InputError(f"{imported}: expected a data set that was imported from {COLLECTION.title}")
    return read_list(imported / TABLE)


def compared(found: list[dict[str, str]], expected: list[dict[str, str]]) -> list[str]:
    """In what the rows of a data set are not those of the list, a line each; hashes where the list has them."""
    differences = []
    part_of = {row["case"]: row["part"] for row in found}
    for case, part in {row["case"]: row["part"] for row in expected}.items():
        if case not in part_of:
            differences.append(f"{case} is missing")
        elif part_of.pop(case) != part:
            differences.append(f"{case} is not in {part}")
    differences += [f"{case} is not in the list" for case in part_of]

    sha256_of = {row["file"]: row["sha256"] for row in found}
    for row in expected:
        if row["sha256"] and sha256_of.get(row["file"]) != row["sha256"]:
            differences.append(f"{row['file']} has other bytes than in the list, or is missing")
    return differences


if __name__ == "__main__":
    main()
