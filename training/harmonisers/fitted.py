"""The fitted harmonisers of a run: how they lie in the folder of their stage, and how other stages get at them."""

from __future__ import annotations

from pathlib import Path

from training.config import RunConfig
from training.data.reference_check import ExpectedReference
from training.data.reference_slice import Reference
from training.harmoniser_table import harmoniser_class
from training.harmonisers.base import Harmoniser, common_levels, range_in_words
from training.stage_table import HARMONISER
from vestibule.errors import InputError
from vestibule.files import read_json, write_json

KIND = "harmoniser.json"
"""File that tells of which kind a fitted harmoniser is."""


def folder_of(run_dir: Path, number: int) -> Path:
    """Folder of the harmoniser of the reference slice `number`: the stage's own for the first, others in it."""
    folder = HARMONISER.folder(run_dir)
    if number == 0:
        return folder
    return folder / f"reference_{number}"


def save_harmoniser(folder: Path, kind: str, harmoniser: Harmoniser, reference: Reference) -> list[Path]:
    """Write a harmoniser of the `kind`, and the slice that it has learnt, to `folder`; returns the files' paths."""
    paths = harmoniser.save(folder)
    paths += reference.save(folder)
    # Last, so that a folder that has it is whole.
    kind_path = folder / KIND
    write_json(kind_path, {"kind": kind})
    return [*paths, kind_path]


def load_harmonisers(run_dir: Path) -> list[tuple[Harmoniser, Reference]]:
    """The harmoniser of each reference slice of the run, with that slice. Raises InputError where there is none."""
    found: list[tuple[Harmoniser, Reference]] = []
    while True:
        folder = folder_of(run_dir, len(found))
        record = read_json(folder / KIND)
        if record is None:
            break
        kind = harmoniser_class(record["kind"])
        harmoniser = kind.load(folder)
        reference = Reference.load(folder)
        found.append((harmoniser, reference))
    if not found:
        raise InputError(f"{folder}: stage {HARMONISER.name!r} is not done; run it first")
    return found


def check_planned_level(key: str, level: int | None, config: RunConfig, reference: ExpectedReference) -> None:
    """Raise InputError where the harmoniser of the expected reference slice will lack the level that `key` names."""
    kind = harmoniser_class(config.harmoniser.kind)
    levels = kind.planned_levels(config.harmoniser, reference.size_yx)
    if level is None or levels is None:
        return
    if level not in levels:
        allowed = range_in_words(levels)
        rows, columns = reference.size_yx
        raise InputError(f"{key} must be {allowed} for a reference slice of {rows} x {columns} px, got {level}")


def check_level(key: str, level: int | None, fitted: list[tuple[Harmoniser, Reference]]) -> None:
    """Raise InputError where one of the fitted harmonisers lacks the level that the configuration's `key` names."""
    if level is None:
        return
    harmonisers = [harmoniser for harmoniser, _ in fitted]
    levels = common_levels(harmonisers)
    if level not in levels:
        allowed = range_in_words(levels)
        raise InputError(f"{key} must be {allowed}, got {level}")
