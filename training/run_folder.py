"""What a run's folder holds of its stages, and by which code they were made."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

from training.stage_table import STAGES, Stage
from vestibule import __version__
from vestibule.errors import InputError
from vestibule.files import PARTIAL, file_sha256, read_json

STARTED = "config.json"
"""A stage's record from its start: configuration, seed, code version, hashes of its inputs, fingerprint."""
FINISHED = "stage.json"
"""The same with the hashes of its outputs; written last."""
REPORT = "report.txt"
"""What a stage has to tell; shown when it is done."""
OTHERS = "others"
"""Key of a finished stage's record: what else lay in its folder, such as checkpoints and pictures."""
OLD = "old"
"""Folder of a run that keeps what other configurations have made."""
CHECKPOINTS = (
    "state.pt",
    "**/scales/*.pt",
    "**/checkpoint_latest.pth",
    "**/checkpoint_final.pth",
    "**/fold_*.safetensors",
    "**/done.json",
)
"""What a stage goes on from, as patterns within its folder."""
VOLUMES = (".npy", ".npz", ".nii.gz", ".b2nd", ".pkl")
"""Endings of files of which there are as many as cases."""
DATA = "data.json"
"""Where the run's training images lie; runs that make phantoms have none."""

OLD_STAGES = ("singan", "blend")
"""Stages of earlier versions, by which a run that one of them began is known."""


def stage_record(path: Path) -> dict | None:
    """A stage's record, of its start or its end; None where there is none that is whole."""
    record = read_json(path)
    if record is None:
        return None
    needed = ("config", "outputs") if path.name == FINISHED else ("config",)
    for key in ("config", "inputs", "outputs", "files"):
        is_expected = key in needed or key in record
        if is_expected and not isinstance(record.get(key), dict):
            return None
    # Size and time of each file, which the first versions did not record.
    for written in record.get("files", {}).values():
        if not isinstance(written, list) or len(written) != 2:
            return None
    return record


def is_done(run_dir: Path, stage: Stage) -> bool:
    """Whether the run has finished the stage."""
    return stage_record(stage.folder(run_dir) / FINISHED) is not None


def read_record(run_dir: Path, stage: Stage) -> dict:
    """What a finished stage recorded. Raises InputError where it is not done."""
    folder = stage.folder(run_dir)
    record = stage_record(folder / FINISHED)
    if not record:
        check_age(run_dir)
        raise InputError(f"{folder}: stage {stage.name!r} is not done; run it first")
    return record


def read_outputs(run_dir: Path, stage: Stage) -> dict[str, str]:
    """Outputs of a finished stage: path relative to its folder -> sha256.

    Raises InputError where the stage is not done, or a file is missing or no longer of the size that was written.
    """
    record = read_record(run_dir, stage)
    altered = altered_output(stage.folder(run_dir), record)
    if altered:
        raise InputError(f"{altered}; run stage {stage.name!r} again")
    return record["outputs"]


def altered_output(folder: Path, record: dict, by_hash: bool = False) -> str | None:
    """What of a finished stage's outputs is no longer as it was written.

    Args:
        folder: The stage's.
        record: What it left in `stage.json`.
        by_hash: Read every file whole; otherwise only where its time is another, as in a copy of a run.

    Returns:
        The first such file and what is wrong with it; None where there is none.
    """
    files = record.get("files", {})
    for name, sha256 in record["outputs"].items():
        path = folder / name
        if not path.is_file():
            return f"{path}: is missing"
        found = size_and_time(path)
        # Records of earlier versions have hashes alone.
        written = files.get(name, found)
        if found[0] != written[0]:
            return f"{path}: has {found[0]} bytes, and {written[0]} were written"
        is_doubtful = by_hash or found != written
        if is_doubtful and file_sha256(path) != sha256:
            return f"{path}: is altered, its sha256 is not the one that was written"
    return None


def other_files(folder: Path, outputs: set[str]) -> list[str]:
    """Files of a stage besides its outputs, whose names are relative to its folder like these."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in outputs:
            names.append(name)
    return names


def last_checkpoint(folder: Path) -> Path | None:
    """What an unfinished stage would go on from; None where it would start over."""
    found = _checkpoints(folder)
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def progress_of(folder: Path) -> tuple[int, int]:
    """How far an unfinished stage has got: the time of its last checkpoint, ns, and how many volumes it holds."""
    newest_ns = 0
    for path in _checkpoints(folder):
        newest_ns = max(newest_ns, path.stat().st_mtime_ns)
    volumes = 0
    for path in folder.rglob("*"):
        if path.name.endswith(VOLUMES):
            volumes += 1
    return newest_ns, volumes


def _checkpoints(folder: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in CHECKPOINTS:
        for path in folder.glob(pattern):
            # One that is being written is hidden.
            if not path.name.startswith("."):
                found.append(path)
    return found


def discard_unfinished(folder: Path) -> None:
    """Remove what killed processes were writing to a stage's folder, which nobody else writes to."""
    for path in folder.rglob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def size_and_time(path: Path) -> list[int]:
    """Bytes of a file and the time of its last change, ns: they tell most changes without reading the file."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def set_aside(folder: Path, run_dir: Path) -> Path | None:
    """Move a stage's folder to the run's `old/`, with the time in its name.

    Returns where it is now, None where there was nothing in it. Raises InputError where it cannot be moved.
    """
    if folder.is_symlink():
        # What it leads to is another run's, and stays there.
        folder.unlink()
        return None
    if not folder.is_dir():
        return None
    if not any(folder.iterdir()):
        folder.rmdir()
        return None

    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    target = run_dir / OLD / f"{folder.name}-{now}"
    # Two within a second.
    number = 2
    while target.exists():
        target = target.with_name(f"{folder.name}-{now}-{number}")
        number += 1
    try:
        target.parent.mkdir(exist_ok=True)
        folder.rename(target)
    except OSError as error:
        raise InputError(f"{folder}: cannot be moved to {target} ({error.strerror})") from error
    return target


def recorded_config(run_dir: Path, stage: Stage) -> dict:
    """The parts of the configuration that a finished stage was made with. Raises InputError where it is not done."""
    read_record(run_dir, stage)
    path = stage.folder(run_dir) / STARTED
    started = stage_record(path)
    if not started:
        raise InputError(f"{path}: missing or damaged; run stage {stage.name!r} again")
    return started["config"]


def check_age(run_dir: Path) -> None:
    """Raise InputError where an earlier version began the run: it would be cleared, and trained again.

    Such a run has a stage that has another name now, or a stage that was given other sections of the configuration.
    """
    # The configuration's classes import torch, which somebody who only looks at a run need not wait for.
    from training.config.view import added_sections

    old = []
    for name in OLD_STAGES:
        if (run_dir / name / STARTED).is_file():
            old.append(run_dir / name)
    for stage in STAGES.values():
        folder = stage.folder(run_dir)
        record = stage_record(folder / STARTED)
        # The export is given everything, and is done again in seconds.
        if not record or stage.sections is None:
            continue
        given = set(record["config"])
        # A section that came later was at its default.
        if given | added_sections() != set(stage.sections) | added_sections():
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
