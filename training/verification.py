"""Whether what a run's finished stages have left is still as it was written: every byte of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from training.run_folder import FINISHED, OTHERS, REPORT, STARTED, check_age, other_files, stage_record
from training.stage_table import STAGES, Stage
from vestibule.errors import InputError
from vestibule.files import file_sha256, is_unfinished
from vestibule.progress import track

DAMAGED, MISSING, FOREIGN = "damaged", "missing", "foreign"
"""Read but not as written; not there; there, but not left by the stage."""
OWN = {STARTED, FINISHED, REPORT}
"""Files of the runner, which is not a stage."""


@dataclass(frozen=True)
class Fault:
    """A file of a stage that is not as the stage left it."""

    stage: str
    file: str
    """Path relative to the run's folder."""
    kind: str
    """`damaged`, `missing` or `foreign`."""
    detail: str
    """What was expected and what was found."""


@dataclass(frozen=True)
class Verification:
    """What was found in a run."""

    run: str
    verified: dict[str, int]
    """Finished stage -> number of files that were read whole."""
    unfinished: tuple[str, ...]
    """Stages that were begun and are not finished; nothing tells what their files should hold."""
    faults: tuple[Fault, ...]

    def as_dict(self) -> dict:
        """The same for JSON."""
        return asdict(self)


def verify_run(run_dir: Path) -> Verification:
    """Read every output of every finished stage, and compare it with what the stage recorded.

    Args:
        run_dir: Folder of a run.

    Returns:
        What was found; a run is whole where there are no faults.

    Raises:
        InputError: There is no such run, an earlier version began it, or a file cannot be read.
    """
    begun = [stage for stage in STAGES.values() if stage.folder(run_dir).is_dir()]
    if not begun:
        raise InputError(f"{run_dir}: holds no run; name the folder that --run named")
    check_age(run_dir)

    verified = {}
    unfinished = []
    faults: list[Fault] = []
    for stage in track(begun, "verify"):
        path = stage.folder(run_dir) / FINISHED
        if not path.is_file():
            unfinished.append(stage.name)
            continue
        record = stage_record(path)
        if record is None:
            detail = "is not what a finished stage writes, so that nothing of the stage can be verified"
            faults.append(Fault(stage.name, str(path.relative_to(run_dir)), DAMAGED, detail))
            continue
        verified[stage.name] = len(record["outputs"])
        faults += _faults_of(stage, record, run_dir)
    return Verification(str(run_dir), verified, tuple(unfinished), tuple(faults))


def _faults_of(stage: Stage, record: dict, run_dir: Path) -> list[Fault]:
    folder = stage.folder(run_dir)
    faults = []
    for name, sha256 in record["outputs"].items():
        path = folder / name
        file = str(path.relative_to(run_dir))
        if not path.is_file():
            faults.append(Fault(stage.name, file, MISSING, "is not there"))
            continue
        found = _sha256_of(path)
        if found != sha256:
            detail = f"has {path.stat().st_size} bytes with sha256 {found[:12]}, and {sha256[:12]} was written"
            faults.append(Fault(stage.name, file, DAMAGED, detail))

    # Records of earlier versions do not name what else a stage leaves.
    if OTHERS not in record:
        return faults
    known = OWN | set(record["outputs"]) | set(record[OTHERS])
    for name in other_files(folder, set(record["outputs"])):
        if name not in known and not is_unfinished(folder / name):
            file = str((folder / name).relative_to(run_dir))
            faults.append(Fault(stage.name, file, FOREIGN, "was not left by the stage"))
    return faults


def _sha256_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
