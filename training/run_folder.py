"""What a run's folder holds of its stages, and by which code they were made."""

from __future__ import annotations

import subprocess
from pathlib import Path

from training.stage_table import STAGES, Stage
from vestibule import __version__
from vestibule.errors import InputError
from vestibule.files import read_json

STARTED = "config.json"
"""A stage's record from its start: configuration, seed, code version, hashes of its inputs, fingerprint."""
FINISHED = "stage.json"
"""The same with the hashes of its outputs; written last."""
REPORT = "report.txt"
"""What a stage has to tell; shown when it is done."""
DATA = "data.json"
"""Where the run's training images lie; runs that make phantoms have none."""

OLD_STAGES = ("singan", "blend")
"""Stages of earlier versions, by which a run that one of them began is known."""


def is_done(run_dir: Path, stage: Stage) -> bool:
    """Whether the run has finished the stage."""
    return read_json(stage.folder(run_dir) / FINISHED) is not None


def read_record(run_dir: Path, stage: Stage) -> dict:
    """What a finished stage recorded. Raises InputError where it is not done."""
    folder = stage.folder(run_dir)
    record = read_json(folder / FINISHED)
    if not record:
        check_age(run_dir)
        raise InputError(f"{folder}: stage {stage.name!r} is not done; run it first")
    return record


def read_outputs(run_dir: Path, stage: Stage) -> dict[str, str]:
    """Outputs of a finished stage: path relative to its folder -> sha256. Raises InputError where it is not done."""
    return read_record(run_dir, stage)["outputs"]


def recorded_config(run_dir: Path, stage: Stage) -> dict:
    """The parts of the configuration that a finished stage was made with. Raises InputError where it is not done."""
    read_record(run_dir, stage)
    path = stage.folder(run_dir) / STARTED
    started = read_json(path)
    if not started:
        raise InputError(f"{path}: missing or damaged; run stage {stage.name!r} again")
    return started["config"]


def check_age(run_dir: Path) -> None:
    """Raise InputError where an earlier version began the run: it would be cleared, and trained again.

    Such a run has a stage that has another name now, or a stage that was given other sections of the configuration.
    """
    old = []
    for name in OLD_STAGES:
        if (run_dir / name / STARTED).is_file():
            old.append(run_dir / name)
    for stage in STAGES.values():
        folder = stage.folder(run_dir)
        record = read_json(folder / STARTED)
        # The export is given everything, and is done again in seconds.
        if not record or stage.sections is None:
            continue
        given = set(record["config"])
        if given != set(stage.sections):
            old.append(folder)
    if old:
        raise InputError(
            f"{old[0]}: an earlier version of vestibule began this run, with other stages and keys; finish it with "
            "that version, or name a new folder by --run. Nothing was changed in it"
        )


def code_version() -> str:
    """Version of the code, with the commit where it runs from a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    here = Path(__file__).parent
    try:
        described = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return __version__
    commit = described.stdout.strip()
    return f"{__version__}+{commit}"
