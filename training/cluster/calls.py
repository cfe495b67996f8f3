"""From a job of a graph to what an engine runs."""

from __future__ import annotations

from pathlib import Path

from training.cluster.graph import Job
from training.cluster.job import StageCall, command_for
from training.cluster.records import log_of
from training.cluster.runs import CONFIG


def call_for(job: Job, root: Path, gpus: int) -> StageCall:
    """What an engine is given for a job.

    Args:
        job: Of the graph.
        root: Folder of the submission.
        gpus: How many the job will have.
    """
    root = root.resolve()
    run_dir = job.run.folder.resolve()
    processes = gpus if job.stage.shared and job.part is None else 1
    command = command_for(job.stage.name, job.part, run_dir, run_dir / CONFIG, processes)
    links = tuple((place.absolute(), made.absolute()) for place, made in job.links)
    return StageCall(run_dir, job.stage.name, job.part, command, log_of(root, job), job.resources.cpus, links)
