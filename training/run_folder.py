"""What a run's folder holds of its stages, and by which code they were made."""

from __future__ import annotations

import subprocess
from pathlib import Path

from training.stage_table import Stage
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


def is_done(run_dir: Path, stage: Stage) -> bool:
    """Whether the run has finished the stage."""
    return read_json(stage.folder(run_dir) / FINISHED) is not None


def read_record(run_dir: Path, stage: Stage) -> dict:
    """What a finished stage recorded. Raises InputError where it is not done."""
    folder = stage.folder(run_dir)
    record = read_json(folder / FINISHED)
    if not record:
        raise InputError(f"{folder}: stage {stage.name!r} is not done; run it first")
    return record


def read_outputs(run_dir: Path, stage: Stage) -> dict[str, str]:
    """Outputs of a finished stage: path relative to its folder -> sha256. Raises InputError where it is not done."""
    return read_record(run_dir, stage)["outputs"]


def recorded_config(run_dir: Path, stage: Stage) -> dict:
    """The parts of the configuration that a finished stage was made with. Raises InputError where it is not done."""
    read_record(run_dir, stage)
    started = read_json(stage.folder(run_dir) / STARTED)
    if not started:
        raise InputError(f"{stage.folder(run_dir)}: {STARTED} is missing or damaged; run stage {stage.name!r} again")
    return started["config"]


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
