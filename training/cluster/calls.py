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
    stage = job.stage.name
    processes = 1
    if job.stage.shared and job.part is None:
        processes = gpus

    links = []
    for place, made in job.links:
        links.append((place.absolute(), made.absolute()))
    return StageCall(
        run_dir,
        stage,
        job.part,
        command=command_for(stage, job.part, run_dir, run_dir / CONFIG, processes),
        log=log_of(root, job),
        cpus=job.resources.cpus,
        hours=job.resources.hours,
        links=tuple(links),
    )
