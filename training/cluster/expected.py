"""How long jobs will take and how much they will write, where earlier runs or the configuration tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.cluster.graph import Graph, Job
from training.disk_space import expected_bytes
from training.run_folder import FINISHED, stage_record
from training.status import PARTS, read_status

PLAN = "plan"
"""Part that takes little beside the others."""


def expected_seconds(graph: Graph, like: Sequence[Path] = ()) -> dict[str, float]:
    """Seconds of the jobs of a graph, of those that are known.

    Args:
        graph: All jobs.
        like: Folders of earlier runs, whose stages took as long; the graph's own runs are looked at first.

    Returns:
        Job's name -> seconds.
    """
    folders: list[Path] = []
    for job in graph.jobs.values():
        if job.run.folder not in folders:
            folders.append(job.run.folder)
    folders += like
    measured = [_measured(folder) for folder in folders]
    parts = _parts_by_stage(graph)
    seconds = {}
    for job in graph.jobs.values():
        found = _seconds_of(job, measured, parts)
        if found is not None:
            seconds[job.name] = found
    return seconds


def expected_disk(graph: Graph) -> int:
    """Bytes that the missing stages will write, as far as their data is prepared; 0 where nothing tells."""
    total = 0
    for job in graph.missing():
        if job.part is None:
            total += expected_bytes(job.stage, job.run.config, job.run.folder)
    return total


def _measured(folder: Path) -> dict[tuple[str, str | None], float]:
    """Seconds of the stages and parts of a run that are done, by their names."""
    found: dict[tuple[str, str | None], float] = {}
    for stage, entry in read_status(folder).items():
        for part, own in entry.get(PARTS, {}).items():
            if "seconds" in own:
                found[stage, part] = own["seconds"]
    for path in folder.glob(f"*/{FINISHED}"):
        record = stage_record(path)
        if record is not None and "seconds" in record:
            found[path.parent.name, None] = record["seconds"]
    return found


def _parts_by_stage(graph: Graph) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for job in graph.jobs.values():
        known = parts.setdefault(job.stage.name, [])
        if job.part is not None and job.part not in known:
            known.append(job.part)
    return parts


def _seconds_of(
    job: Job, measured: Sequence[dict[tuple[str, str | None], float]], parts: dict[str, list[str]]
) -> float | None:
    """What the first run that knows tells of a job."""
    stage = job.stage.name
    for known in measured:
        own = known.get((stage, job.part))
        whole = known.get((stage, None))
        if not parts[stage] or (own is not None and job.part is not None):
            found = own
        elif whole is None:
            found = None
        elif any(name == stage and part is not None for name, part in known):
            # Made in parts: what is known of the stage is the putting together alone.
            found = own
        else:
            found = _share(job, whole, parts[stage])
        if found is not None:
            return found
    return None


def _share(job: Job, whole: float, parts: list[str]) -> float:
    """What a job would take of a stage that one process has made: its parts that train take all of it, about."""
    training = [part for part in parts if part != PLAN]
    if job.part not in training:
        return 0.0
    return whole / len(training)
