"""How far a run is: what its stages recorded, what its status notes, and which of its locks are held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from training.run_folder import FINISHED, stage_record
from training.stage_table import STAGES, Stage
from training.status import DONE, FAILED, PARTS, RUNNING, STATUS, STOPPED, WAITING, read_status
from vestibule.errors import InputError
from vestibule.locks import holder_of, part_place


@dataclass(frozen=True)
class Job:
    """A stage, or a part of one that is made apart, as it stands."""

    name: str
    """The stage's name, with the part's behind a slash where it is one."""
    state: str
    """One of the states that `training.status` names."""
    seconds: float | None = None
    """How long it took, where it is done."""
    loop: str | None = None
    """Title of the loop that it is in, where it is running or was."""
    step: int | None = None
    """Steps of it that are done."""
    steps: int | None = None
    """Steps of it in all."""
    left_s: float | None = None
    """Seconds that the loop will still take, where that is known."""
    losses: dict[str, float] = field(default_factory=dict)
    """The latest, where it trains."""
    waits_for: tuple[str, ...] = ()
    """Stages that it reads and that are not done."""
    holder: str | None = None
    """Process that is making it, and where."""
    queue: str | None = None
    """Its number in an engine's queue, and why it waits there."""
    error: str | None = None
    """The last line of its failure."""
    log: str | None = None
    """File with all that it said, where there is one."""
    log_lines: tuple[str, ...] = ()
    """The last ones of it, where a job of an engine failed."""
    warnings: tuple[str, ...] = ()


def read_run(run_dir: Path) -> list[Job]:
    """All stages of a run in the table's order, the parts of each behind it.

    Raises InputError where the folder holds no run.
    """
    noted = read_status(run_dir)
    jobs: list[Job] = []
    for stage in STAGES.values():
        entry = noted.get(stage.name, {})
        if entry or stage.folder(run_dir).is_dir():
            jobs += _jobs_of(stage, entry, noted, run_dir)
    if not jobs:
        raise InputError(f"{run_dir}: holds no run, neither stages nor {STATUS}; name the folder that --run named")
    return jobs


def _jobs_of(stage: Stage, entry: dict, noted: dict[str, dict], run_dir: Path) -> list[Job]:
    folder = stage.folder(run_dir)
    record = stage_record(folder / FINISHED)
    warnings = tuple(warning["text"] for warning in entry.get("warnings", []))
    if record is not None:
        return [Job(stage.name, DONE, record.get("seconds"), warnings=warnings)]

    waits_for = []
    for name in entry.get("needs", []):
        needed = STAGES.get(name)
        if needed is None or stage_record(needed.folder(run_dir) / FINISHED) is None:
            waits_for.append(name)
    jobs = [_job(stage.name, entry, holder_of(folder), tuple(waits_for), warnings)]
    for part, own in sorted(entry.get(PARTS, {}).items()):
        holder = holder_of(part_place(folder, part))
        jobs.append(_job(f"{stage.name}/{part}", own, holder, (), ()))
    return jobs


def _job(name: str, entry: dict, holder: str | None, waits_for: tuple[str, ...], warnings: tuple[str, ...]) -> Job:
    """A stage or part that is not finished, from its entry and the process that has claimed it."""
    progress = entry.get("progress") or {}
    return Job(
        name,
        _state(entry, holder),
        seconds=entry.get("seconds"),
        loop=progress.get("title"),
        step=progress.get("done"),
        steps=progress.get("total"),
        left_s=_left_s(progress) if holder else None,
        losses=entry.get("losses", {}),
        waits_for=waits_for,
        holder=holder,
        error=entry.get("error"),
        log=entry.get("log"),
        log_lines=tuple(entry.get("log_lines", ())),
        warnings=warnings,
    )


def _state(entry: dict, holder: str | None) -> str:
    """The state that holds: a dead process could not note its end."""
    if holder is not None:
        return RUNNING
    noted = entry.get("state", WAITING)
    if noted == RUNNING:
        return STOPPED
    return noted if noted in (DONE, FAILED, STOPPED) else WAITING


def _left_s(progress: dict) -> float | None:
    """Seconds left of a loop now, from what was left when it was noted."""
    left_s = progress.get("left_s")
    if left_s is None:
        return None
    noted = datetime.fromisoformat(progress["changed"])
    passed_s = (datetime.now(UTC) - noted).total_seconds()
    return max(0.0, left_s - passed_s)
