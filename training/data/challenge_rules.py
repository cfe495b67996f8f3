"""What a challenge forbids, as far as a run can tell: further data and annotation that is not the challenge's own."""

from __future__ import annotations

from pathlib import Path

from training.data.raw_cases import RawCase
from training.stage_table import PREPARE
from vestibule.editions import Edition
from vestibule.files import read_json

UNKNOWN = {"external_data": False, "extra_annotation": False, "pretrained": False, "remarks": []}
"""Of phantom runs, which have nothing of anybody's."""
MADE_HERE = ("population.json", "implants.json")
"""Files that this toolkit leaves in the populations that it makes."""


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
    remarks = []
    for name in MADE_HERE:
        if (data / name).is_file():
            remarks.append(f"{name} says that {data.name} was made by this toolkit")
    foreign = [case.name for case in cases if not edition.offers(case.name)]
    if foreign:
        remarks.append(f"{len(foreign)} cases are not named as those of crossMoDA {edition.year}, such as {foreign[0]}")
    for domain, offered in zip(("source", "target"), edition.training_cases, strict=True):
        count = sum(case.domain == domain for case in cases)
        if count > offered:
            remarks.append(f"{count} {domain} cases, crossMoDA {edition.year} offers {offered}")
    external = bool(remarks)

    outlined = [case.name for case in cases if case.domain == "target" and case.label]
    if outlined:
        remarks.append(f"{len(outlined)} T2 training images have labels, such as {outlined[0]}")
    return {"external_data": external, "extra_annotation": bool(outlined), "pretrained": False, "remarks": remarks}


def read_audit(run_dir: Path) -> dict:
    """What `prepare` found about the rules, for the bundle's provenance."""
    index = read_json(PREPARE.folder(run_dir) / "index.json") or {}
    return {**UNKNOWN, **index.get("rules", {})}
