"""The engine `slurm`: the jobs of a graph in Slurm's queue, each waiting there for what it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.cluster.calls import call_for
from training.cluster.graph import Graph, Job
from training.cluster.queue import LIVING, queued
from training.cluster.records import FOLDER, all_records, read_records, write_records
from training.config import ResourcesConfig
from vestibule.errors import InputError

REQUEUES = 1000
"""How often a job may reach its time limit and go on."""
SIGNAL_BEFORE_S = 90
"""Seconds before its time limit at which a job is stopped and queued again."""


def submit_to_slurm(graph: Graph, root: Path, report: Callable[[str], None]) -> dict[str, str]:
    """Put all that is missing into the queue, but for what an earlier submission has there already.

    Args:
        graph: All jobs.
        root: Folder of the submission, which all nodes see.
        report: Called with a line on what happens.

    Returns:
        Slurm's number of each job that is in the queue.

    Raises:
        InputError: The queue has a job of this name that was submitted with another configuration, or Slurm refuses.
    """
    numbers = _in_queue(graph, root)
    groups = alike(graph, numbers)
    before = len(numbers)
    for jobs in groups:
        submitted = _submit(jobs, graph, root, numbers)
        for job, number in zip(jobs, submitted, strict=True):
            numbers[job.name] = number
        # So that nothing is submitted twice where a later one is refused.
        write_records(root, all_records(root, graph, "slurm", numbers))
    write_records(root, all_records(root, graph, "slurm", numbers))
    new = len(numbers) - before
    report(f"{new} jobs submitted, {before} were in the queue already")
    return numbers


def _in_queue(graph: Graph, root: Path) -> dict[str, str]:
    """Numbers of jobs of an earlier submission that wait or run."""
    records = read_records(root)
    states = queued() if records else {}
    numbers = {}
    for job in graph.missing():
        record = records.get(job.name)
        if record is None or record.id not in states:
            continue
        if states[record.id].state not in LIVING:
            continue
        if record.key != job.key:
            raise InputError(
                f"{job.name}: is in the queue as job {record.id}, with another configuration; wait for it, or run: "
                f"scancel {record.id}"
            )
        numbers[job.name] = record.id
    return numbers


def alike(graph: Graph, numbers: dict[str, str]) -> list[list[Job]]:
    """The jobs to submit, in order; those that wait for the same and get the same become one array."""
    groups: dict[tuple, list[Job]] = {}
    for job in graph.missing():
        if job.name in numbers:
            continue
        # A stage of its own name in each array, which is the array's name in the queue.
        kind = (job.needs, job.resources, job.stage.name, job.part is None)
        groups.setdefault(kind, []).append(job)
    return list(groups.values())


def _submit(jobs: list[Job], graph: Graph, root: Path, numbers: dict[str, str]) -> list[str]:
    import submitit

    executor = submitit.SlurmExecutor(root.resolve() / FOLDER / "submitit", max_num_timeout=REQUEUES)
    first = jobs[0]
    after = [numbers[name] for name in graph.waits_for(first)]
    wanted = parameters(first.resources, first.stage.name, after)
    executor.update_parameters(**wanted)
    calls = [call_for(job, root, job.resources.gpus) for job in jobs]
    try:
        submitted = executor.submit_array(calls)
    except (OSError, submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"{first.name}: Slurm refuses it ({said}); look at its resources in the configuration"
        ) from error
    return [one.job_id for one in submitted]


def parameters(resources: ResourcesConfig, stage: str, after: list[str]) -> dict[str, Any]:
    """Arguments of submitit's executor.

    Args:
        resources: What each job is given.
        stage: Its name, for the queue.
        after: Slurm's numbers of the jobs that must have succeeded before.
    """
    minutes = round(resources.hours * 60)
    limit_s = int(resources.hours * 3600)
    # A job that cannot begin any more leaves the queue.
    further: dict[str, Any] = {"kill-on-invalid-dep": "yes", "requeue": True}
    for option in resources.options:
        name, _, value = option.removeprefix("--").partition("=")
        further[name] = value or True
    wanted: dict[str, Any] = {
        "job_name": f"vestibule-{stage}",
        # Slurm counts whole minutes.
        "time": max(1, minutes),
        "cpus_per_task": resources.cpus,
        "partition": resources.partition,
        "signal_delay_s": min(SIGNAL_BEFORE_S, limit_s // 4),
        "additional_parameters": further,
    }
    if resources.gpus:
        wanted["gpus_per_node"] = resources.gpus
    if resources.memory_gb is not None:
        memory_mb = round(resources.memory_gb * 1024)
        wanted["mem"] = f"{memory_mb}MB"
    if after:
        listed = ":".join(after)
        wanted["dependency"] = f"afterok:{listed}"
    return {name: value for name, value in wanted.items() if value is not None}
