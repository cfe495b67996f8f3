"""Every stage of a configuration for a few steps, in a scratch folder, and what the run will take."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.config import RunConfig, stages_of
from training.data.raw_cases import KnownCases, find_cases, known_cases
from training.rehearsal.forecast import Rehearsed, bytes_of, seconds_of
from training.rehearsal.shorten import CASES, link_cases, shortened, some_of
from training.rehearsal.trial import tried
from training.runner import check_known
from training.stage_record import needs_of
from training.stage_table import Stage
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_text
from vestibule.progress import track
from vestibule.stopping import telling

RUN, DATA = "run", "data"
"""Folders in the scratch folder."""
MARK = "rehearsal.txt"
"""File there, which tells that nothing else lies in it."""
STEPS = 6
"""Iterations of each GAN: the first begins the clock."""


@dataclass(frozen=True)
class Forecast:
    """What a stage will take in the run, on this machine."""

    stage: str
    rehearsed_seconds: float
    seconds: float | None
    """None where the stage failed, or was not tried."""
    disk_bytes: int | None
    memory_bytes: int
    gpu_bytes: int
    cpu_seconds: float
    """Of all cores together in the rehearsal: few for its time where other work ran beside it."""
    failure: str | None
    """Why it would fail, in one line."""


@dataclass(frozen=True)
class Rehearsal:
    """All stages of a rehearsal."""

    stages: tuple[Forecast, ...]
    cases: dict[str, int]
    """Cases of the run, by domain."""
    free_bytes: int
    """Free on the disk of the scratch folder."""

    @property
    def seconds(self) -> float:
        """Of all stages that could be told, one after the other."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def disk_bytes(self) -> int:
        """Of all stages that could be told."""
        return sum(stage.disk_bytes or 0 for stage in self.stages)

    @property
    def failures(self) -> list[Forecast]:
        """The stages that would fail, with those that were not tried since they need one of them."""
        return [stage for stage in self.stages if stage.failure]

    def as_dict(self) -> dict:
        """For JSON."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "cases": self.cases,
            "seconds": self.seconds,
            "disk_bytes": self.disk_bytes,
            "free_bytes": self.free_bytes,
        }


def rehearse(
    config: RunConfig,
    data: Path | None = None,
    named: Mapping[str, str] | None = None,
    scratch: Path | None = None,
    steps: int = STEPS,
    report: Callable[[str], None] = lambda line: None,
) -> Rehearsal:
    """Run every stage for a few steps on a few cases.

    Args:
        config: Of the run.
        data: Folder with the challenge's training folders; None for a configuration that makes phantoms.
        named: Folders within `data` by role, before those that the configuration names.
        scratch: A new folder, on the disk that the run will have, which is kept, or that of an earlier rehearsal, which
            is made anew; None: one among the temporary files, which is removed.
        steps: Iterations of each GAN.
        report: Called with a line on what happens.

    Returns:
        What each stage will take, and why it would fail.

    Raises:
        InputError: What the run itself would refuse at its start, or a scratch folder that holds something.
    """
    with telling(lambda: "a rehearsal that was stopped is made anew"):
        if scratch is None:
            with tempfile.TemporaryDirectory(prefix="vestibule-rehearsal-") as folder:
                return _rehearse(config, data, named, Path(folder), steps, report)
        _clear(scratch)
        return _rehearse(config, data, named, scratch, steps, report)


def _clear(scratch: Path) -> None:
    """Make an empty folder of a new one, or of that of an earlier rehearsal, which may have been stopped."""
    mark = scratch / MARK
    if mark.is_file():
        for name in (RUN, DATA):
            shutil.rmtree(scratch / name, ignore_errors=True)
    elif scratch.exists() and any(scratch.iterdir()):
        raise InputError(f"{scratch}: is not empty, and no rehearsal has made it; name a new folder with --scratch")
    scratch.mkdir(parents=True, exist_ok=True)
    write_text(mark, "Made by vestibule train rehearse, which makes it anew.\n")


def _rehearse(
    config: RunConfig,
    data: Path | None,
    named: Mapping[str, str] | None,
    scratch: Path,
    steps: int,
    report: Callable[[str], None],
) -> Rehearsal:
    short = shortened(config, steps)
    run_dir = scratch / RUN
    run_dir.mkdir()
    known = _cases(config, data, named, run_dir)
    counts = {domain: len(known.of(domain)) for domain in ("source", "target")}
    small = None
    if data is not None:
        small = scratch / DATA
        for domain in counts:
            chosen = some_of(known.of(domain), config.reference.case)
            link_cases(chosen, get_edition(config.edition), small)
    share = max(1.0, max(counts.values()) / CASES)

    failed: dict[Stage, str] = {}
    found = []
    for stage in track(stages_of(short), "rehearsal"):
        missing = [earlier.name for earlier in needs_of(stage, short) if earlier in failed]
        if missing:
            failed[stage] = f"not tried, since it needs {', '.join(missing)}"
            found.append(Forecast(stage.name, 0.0, None, None, 0, 0, 0.0, failed[stage]))
            continue
        report(f"{stage.name}: {stage.title}")
        trial = tried(stage, short, run_dir, small)
        needed: dict[str, Any] = {
            "memory_bytes": trial.memory_bytes,
            "gpu_bytes": trial.gpu_bytes,
            "cpu_seconds": trial.cpu_seconds,
        }
        if trial.failure:
            failed[stage] = trial.failure
            found.append(Forecast(stage.name, trial.seconds, None, None, failure=trial.failure, **needed))
            continue
        rehearsed = Rehearsed(stage, trial, stage.folder(run_dir), config, share)
        seconds, disk = seconds_of(rehearsed), bytes_of(rehearsed)
        found.append(Forecast(stage.name, trial.seconds, seconds, disk, failure=None, **needed))
    return Rehearsal(tuple(found), counts, shutil.disk_usage(scratch).free)


def _cases(config: RunConfig, data: Path | None, named: Mapping[str, str] | None, run_dir: Path) -> KnownCases:
    """The cases of the run. Raises InputError for what its stages would refuse before the first one."""
    if config.phantom is not None:
        if data is not None:
            raise InputError(f"{config.name}: makes its own phantoms; --data is for configurations without 'phantom'")
        known = known_cases(config, run_dir)
    elif data is None:
        raise InputError(f"{config.name}: makes no phantoms; pass --data FOLDER with the challenge's folders")
    else:
        folders = config.folders.named | dict(named or {})
        found = find_cases(data, get_edition(config.edition), folders)
        known = KnownCases(run_dir, tuple(found))
    check_known(config, known)
    return known
