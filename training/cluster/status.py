"""How far the jobs of a submission are: what their runs tell, and what the engine's queue adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training.cluster.job import last_lines
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
        queue = states.get(record.id or "")
        job = _merged(record, found[name], queue)
        if job.state == FAILED and found[name].state != FAILED:
            # Nothing was noted, as where the disk is full.
            said = last_lines(root / record.log, 1)
            job = replace(job, error=", ".join([str(job.error), *said]))
        waits_for = []
        for needed in record.needs:
            if needed in jobs and jobs[needed].state != DONE:
                waits_for.append(needed)
        log = root / record.log
        told_log = str(log) if log.is_file() else None
        if job.state == DONE:
            waits_for = []
            told_log = None
        jobs[name] = replace(job, name=name, waits_for=tuple(waits_for), log=told_log)
    return list(jobs.values())


def _in_runs(root: Path, records: Mapping[str, Record]) -> dict[str, Job]:
    """Each job as its run's folder tells it."""
    runs: dict[str, dict[str, Job]] = {}
    found = {}
    for name, record in records.items():
        if record.run not in runs:
            runs[record.run] = _jobs_by_name(root / record.run)
        known = runs[record.run]
        own = record.stage
        if record.part is not None:
            own = f"{own}/{record.part}"
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
        is_slurms = record.engine == SLURM and record.id is not None
        if is_slurms and found[name].state != DONE:
            numbers.append(str(record.id))
    if not numbers:
        return {}
    states = queued()
    forgotten = [number for number in numbers if number not in states]
    return {**accounted(forgotten), **states}


def _merged(record: Record, job: Job, queue: Queued | None) -> Job:
    """A job as its run's folder and the queue tell it together."""
    if job.state == DONE or queue is None:
        return job
    number = f"job {record.id}"
    if queue.state not in LIVING:
        return job if job.state in (RUNNING, FAILED) else _ended(job, number, queue)
    if job.state == RUNNING:
        return replace(job, queue=number)
    if queue.state == PENDING:
        return replace(job, state=WAITING, error=None, queue=f"{number}, {queue.reason}")
    # It has begun, and has not got at its stage yet.
    return replace(job, state=RUNNING, error=None, queue=number)


def _ended(job: Job, number: str, queue: Queued) -> Job:
    """A job that ended without a note of it in its run."""
    if queue.state == CANCELLED:
        return replace(job, state=STOPPED, error=f"{number} was cancelled")
    return replace(job, state=FAILED, error=f"{number}: {queue.state}")
