"""What a challenge forbids, as far as a run can tell: further data and annotation that is not the challenge's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.raw_cases import RawCase
from training.stage_table import PREPARE
from vestibule.editions import Edition
from vestibule.files import read_json

UNKNOWN: dict[str, Any] = {"external_data": False, "extra_annotation": False, "pretrained": False, "remarks": []}
"""Of phantom runs, which have nothing of anybody's."""
MADE_HERE = ("population.json", "implants.json", "import.json")
"""Files that this toolkit leaves in the populations that it makes or imports."""


def audit(cases: list[RawCase], data: Path, edition: Edition) -> dict:
    """Which rules the training data breaks, and what says so.

    `external_data`: cases that are not called as the edition's are, more cases than it offers, or a population that a
    tool of this project made. `extra_annotation`: labels of T2 training images, which the challenge does not give.

    Args:
        cases: All training cases.
        data: The folder that they lie in.
        edition: Whose rules hold.

    Returns:
        The three answers, and `remarks`: a sentence for each breach.
    """
    challenge = f"crossMoDA {edition.year}"
    remarks = []
    for name in MADE_HERE:
        if (data / name).is_file():
            remarks.append(f"{name} says that {data.name} was made by this toolkit")

    foreign = []
    outlined = []
    counts = {"source": 0, "target": 0}
    for case in cases:
        counts[case.domain] += 1
        if not edition.offers(case.name):
            foreign.append(case.name)
        if case.domain == "target" and case.label:
            outlined.append(case.name)

    if foreign:
        remarks.append(f"{len(foreign)} cases are not named as those of {challenge}, such as {foreign[0]}")
    for (domain, count), offered in zip(counts.items(), edition.training_cases, strict=True):
        if count > offered:
            remarks.append(f"{count} {domain} cases, {challenge} offers {offered}")
    # So far all remarks are on where the data comes from.
    external = bool(remarks)
    if outlined:
        remarks.append(f"{len(outlined)} T2 training images have labels, such as {outlined[0]}")
    return {
        "external_data": external,
        "extra_annotation": bool(outlined),
        "pretrained": False,
        "remarks": remarks,
    }


def read_audit(run_dir: Path) -> dict:
    """What `prepare` found about the rules, for the bundle's provenance."""
    found = dict(UNKNOWN)
    index = read_json(PREPARE.folder(run_dir) / "index.json")
    if index:
        found.update(index.get("rules", {}))
    return found
