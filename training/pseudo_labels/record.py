"""What a round of self-training leaves of its judgement: a table to read, and all of it to go on from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.data.slices import PreparedCase
from training.pseudo_labels.verdicts import Judged
from vestibule.csv_cells import escaped
from vestibule.files import atomic, file_sha256, read_json, write_json

TABLE = "masks.csv"
"""A row for each image."""
RECORD = "masks.json"
"""The same with every overlap and the sha256 of each mask; written last."""


def write_judged(folder: Path, judged: Sequence[Judged]) -> None:
    """Write the table and the record of a round to its folder."""
    structures = list(judged[0].volumes_mm3)
    columns = ["case", "site", "verdict", "weight", "agreement"]
    columns += [f"{structure}_mm3" for structure in structures]
    columns.append("reason")
    with atomic(folder / TABLE) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for one in judged:
            writer.writerow(_row(one, structures))

    entries = {}
    for one in judged:
        entries[one.case.name] = _entry(one)
    write_json(folder / RECORD, {"masks": entries})


def read_judged(folder: Path, cases: Sequence[PreparedCase], labels: Path) -> list[Judged] | None:
    """What an earlier try of a round has judged.

    Args:
        folder: The round's.
        cases: Real T2.
        labels: Folder of the masks.

    Returns:
        The masks with their verdicts in the order of `cases`; None where the record or a mask is not as it was written.
    """
    record = read_json(folder / RECORD)
    if record is None:
        return None
    judged = []
    for case in cases:
        entry = record.get("masks", {}).get(case.name)
        path = labels / f"{case.name}.npy"
        if entry is None or not path.is_file() or file_sha256(path) != entry["sha256"]:
            return None
        pseudo_labelled = replace(case, label_path=path)
        one = _judged(pseudo_labelled, entry)
        judged.append(one)
    return judged


def count_kept(folder: Path) -> tuple[int, int] | None:
    """How many masks a round has kept, and of how many; None where it has judged none."""
    record = read_json(folder / RECORD)
    if record is None:
        return None
    masks = record["masks"]
    kept = [entry for entry in masks.values() if entry["kept"]]
    return len(kept), len(masks)


def _row(one: Judged, structures: Sequence[str]) -> list[str]:
    agreement = "" if one.agreement is None else f"{one.agreement:.4f}"
    row = [escaped(one.case.name), one.site, "kept" if one.kept else "dropped"]
    row += [f"{one.weight:.4f}", agreement]
    for structure in structures:
        row.append(f"{one.volumes_mm3[structure]:.1f}")
    row.append(one.reason)
    return row


def _entry(one: Judged) -> dict:
    """A mask as the record has it; the file's own name tells the case."""
    path = one.case.label_path
    return {
        "sha256": file_sha256(path) if path else "",
        "kept": one.kept,
        "weight": one.weight,
        "agreement": one.agreement,
        "faults": list(one.faults),
        "missing": one.missing,
        "reason": one.reason,
        "volumes_mm3": one.volumes_mm3,
        "overlaps": one.overlaps,
    }


def _judged(case: PreparedCase, entry: dict) -> Judged:
    """The way back from `_entry`."""
    return Judged(
        case=case,
        volumes_mm3=entry["volumes_mm3"],
        overlaps=entry["overlaps"],
        agreement=entry["agreement"],
        faults=tuple(entry["faults"]),
        missing=entry["missing"],
        kept=entry["kept"],
        reason=entry["reason"],
        weight=entry["weight"],
    )
