"""What a stage is made from: the record that its folder holds from its start, and whether what is there is of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.config import RunConfig, stages_of
from training.config.view import as_recorded, given_to, sections_of
from training.data.raw_cases import known_cases, named_folders
from training.fingerprint import KeyRules, fingerprint_of, rules_of
from training.run_folder import (
    DATA,
    FINISHED,
    STARTED,
    altered_output,
    code_version,
    read_outputs,
    size_and_time,
    stage_record,
)
from training.stage_table import PREPARE, Stage
from vestibule.errors import InputError
from vestibule.files import read_json


def describe(stage: Stage, config: RunConfig, run_dir: Path) -> dict:
    """What a stage is made from, and the fingerprint of it. Raises InputError where an input is missing."""
    record = record_of(stage, config, _inputs_of(stage, config, run_dir))
    # The version of the code is told, but a new commit alone does not train anything again.
    record["code_version"] = code_version()
    return record


def is_unchanged(stage: Stage, config: RunConfig, run_dir: Path) -> bool:
    """Whether the stage is done, and what it left and what it was made from are as they were."""
    folder = stage.folder(run_dir)
    done = stage_record(folder / FINISHED)
    if not done:
        return False
    try:
        record = record_of(stage, config, _inputs_of(stage, config, run_dir))
    except InputError:
        # Of what it reads something is missing or altered.
        return False
    is_same = fingerprint_of(done, rules_for(stage, config)) == record["fingerprint"]
    return is_same and altered_output(folder, done) is None


def record_of(stage: Stage, config: RunConfig, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a stage is made from where its inputs are these, with the fingerprint of it."""
    values = as_recorded(config)
    sections = {}
    for section in sections_of(stage):
        concerns = given_to(stage, config, section) is not None
        sections[section] = values[section] if concerns else None
    record = {
        "stage": stage.name,
        "seed": config.seed,
        "config": sections,
        "inputs": inputs,
    }
    record["fingerprint"] = fingerprint_of(record, rules_for(stage, config))
    return record


def rules_for(stage: Stage, config: RunConfig) -> KeyRules:
    """Which keys do not change what the stage leaves."""
    # A stage that is given all of the configuration records all of it.
    return rules_of(config, stage.name, every_key_counts=stage.sections is None)


def needs_of(stage: Stage, config: RunConfig) -> list[Stage]:
    """Stages of the configuration that `stage` reads."""
    present = stages_of(config)
    if stage.needs is None:
        return [other for other in present if other != stage]
    return [other for other in present if other in stage.needs]


def _inputs_of(stage: Stage, config: RunConfig, run_dir: Path) -> dict[str, dict]:
    """Hashes of all that a stage reads."""
    inputs: dict[str, dict] = {}
    for needed in needs_of(stage, config):
        inputs[needed.name] = read_outputs(run_dir, needed)
    if stage == PREPARE and not config.phantom:
        known_cases(config, run_dir)
        inputs["data"] = _listing(run_dir)
        named = named_folders(run_dir)
        if named:
            inputs["folders"] = named
    return inputs


def _listing(run_dir: Path) -> dict[str, list[int]]:
    """Size and time of every image of the data: they tell a changed download without reading all of it."""
    record = read_json(run_dir / DATA)
    if not record:
        return {}
    root = Path(record["data"])
    listing = {}
    for path in sorted(root.rglob("*.nii*")):
        # Hidden files are not images: a Mac leaves one beside each image that it copies.
        if not path.is_file() or path.name.startswith("."):
            continue
        name = str(path.relative_to(root))
        listing[name] = size_and_time(path)
    return listing


def is_started(stage: Stage, config: RunConfig, run_dir: Path) -> bool:
    """Whether the stage's folder holds an unfinished try of what it would be made from now."""
    folder = stage.folder(run_dir)
    started = stage_record(folder / STARTED)
    if not started or (folder / FINISHED).is_file():
        return False
    try:
        record = record_of(stage, config, _inputs_of(stage, config, run_dir))
    except InputError:
        return False
    return fingerprint_of(started, rules_for(stage, config)) == record["fingerprint"]
