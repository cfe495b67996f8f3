"""How far the jobs of a submission are: what their runs tell, and what the engine's queue adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training.cluster.queue import LIVING, PENDING, Queued, accounted, queued
from training.cluster.records import Record, read_records
from training.run_status import Job, read_run
from training.status import DONE, FAILED, RUNNING, STOPPED, WAITING
from vestibule.errors import InputError

CANCELLED = "CANCELLED"
SLURM = "slurm"


def read_jobs(root: Path) -> list[Job]:
    """All jobs of a submission, in the order in which they can be made; none where nothing was submitted there.

    Slurm is asked once for all of them, and only if it has any.
    """
    records = read_records(root)
    found = _in_runs(root, records)
    states = _states(records, found)
    jobs: dict[str, Job] = {}
    for name, record in records.items():
        job = _merged(record, found[name], states.get(record.id or ""))
        log = root / record.log
        waits_for = tuple(needed for needed in record.needs if needed in jobs and jobs[needed].state != DONE)
        is_open = job.state != DONE
        jobs[name] = replace(
            job,
            name=name,
            waits_for=waits_for if is_open else (),
            log=str(log) if is_open and log.is_file() else None,
        )
    return list(jobs.values())


def _in_runs(root: Path, records: Mapping[str, Record]) -> dict[str, Job]:
    """Each job as its run's folder tells it."""
    runs: dict[str, dict[str, Job]] = {}
    found = {}
    for name, record in records.items():
        if record.run not in runs:
            runs[record.run] = _jobs_by_name(root / record.run)
        known = runs[record.run]
        own = record.stage if record.part is None else f"{record.stage}/{record.part}"
        stage = known.get(record.stage)
        job = known.get(own, Job(own, WAITING))
        # A stage that is done tells nothing of its parts any more.
        if stage is not None and stage.state == DONE:
            job = replace(job, state=DONE)
        found[name] = job
    return found


def _jobs_by_name(run_dir: Path) -> dict[str, Job]:
    try:
        return {job.name: job for job in read_run(run_dir)}
    except InputError:
        # Nothing has begun yet.
        return {}


def _states(records: Mapping[str, Record], found: Mapping[str, Job]) -> dict[str, Queued]:
    """What Slurm says of the jobs that are not done, by its numbers."""
    numbers = []
    for name, record in records.items():
        if record.engine == SLURM and record.id is not None and found[name].state != DONE:
            numbers.append(record.id)
    if not numbers:
        return {}
    states = queued()
    forgotten = [number for number in numbers if number not in states]
    return {**accounted(forgotten), **states}


def _merged(record: Record, job: Job, queue: Queued | None) -> Job:
    """A job as its run's folder and the queue tell it together."""
    if job.state in (DONE, RUNNING) or queue is None:
        return job
    number = f"job {record.id}"
    if queue.state == PENDING:
        return replace(job, state=WAITING, error=None, queue=f"{number}, {queue.reason}")
    if queue.state in LIVING:
        # It has begun, and has not got at its stage yet.
        return replace(job, state=RUNNING, error=None, queue=number)
    if queue.state == CANCELLED and job.state != FAILED:
        return replace(job, state=STOPPED, error=f"{number} was cancelled")
    if job.state == FAILED:
        return job
    return replace(job, state=FAILED, error=f"{number}: {queue.state}")
