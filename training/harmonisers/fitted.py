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
    return folder / f"reference_{number}" if number else folder


def save_harmoniser(folder: Path, kind: str, harmoniser: Harmoniser, reference: Reference) -> list[Path]:
    """Write a harmoniser of the `kind`, and the slice that it has learnt, to `folder`; returns the files' paths."""
    paths = harmoniser.save(folder)
    paths += reference.save(folder)
    # Last, so that a folder that has it is whole.
    write_json(folder / KIND, {"kind": kind})
    return [*paths, folder / KIND]


def load_harmonisers(run_dir: Path) -> list[tuple[Harmoniser, Reference]]:
    """The harmoniser of each reference slice of the run, with that slice. Raises InputError where there is none."""
    found = []
    folder = folder_of(run_dir, 0)
    while (folder / KIND).is_file():
        record = read_json(folder / KIND)
        kind = harmoniser_class(record["kind"])
        found.append((kind.load(folder), Reference.load(folder)))
        folder = folder_of(run_dir, len(found))
    if not found:
        raise InputError(f"{folder}: stage {HARMONISER.name!r} is not done; run it first")
    return found


def check_planned_level(key: str, level: int | None, config: RunConfig, reference: ExpectedReference) -> None:
    """Raise InputError where the harmoniser of the expected reference slice will lack the level that `key` names."""
    kind = harmoniser_class(config.harmoniser.kind)
    levels = kind.planned_levels(config.harmoniser, reference.size_yx)
    if level is not None and levels is not None and level not in levels:
        rows, columns = reference.size_yx
        raise InputError(
            f"{key} must be {range_in_words(levels)} for a reference slice of {rows} x {columns} px, got {level}"
        )


def check_level(key: str, level: int | None, fitted: list[tuple[Harmoniser, Reference]]) -> None:
    """Raise InputError where one of the fitted harmonisers lacks the level that the configuration's `key` names."""
    levels = common_levels([harmoniser for harmoniser, _ in fitted])
    if level is not None and level not in levels:
        raise InputError(f"{key} must be {range_in_words(levels)}, got {level}")
