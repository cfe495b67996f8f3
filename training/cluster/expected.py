"""How long jobs will take and how much they will write, where earlier runs or the configuration tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.cluster.graph import Graph, Job
from training.disk_space import expected_bytes
from training.run_folder import FINISHED, stage_record
from training.status import PARTS, read_status


def expected_seconds(graph: Graph, like: Sequence[Path] = ()) -> dict[str, float]:
    """Seconds of the jobs of a graph, of those that are known.

    Args:
        graph: All jobs.
        like: Folders of earlier runs, whose stages took as long; the graph's own runs are looked at first.

    Returns:
        Job's name -> seconds.
    """
    own = list(dict.fromkeys(job.run.folder for job in graph.jobs.values()))
    measured = [_measured(folder) for folder in (*own, *like)]
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
    has_parts = bool(parts[stage])
    for known in measured:
        if (stage, job.part) in known and not (has_parts and job.part is None):
            return known[stage, job.part]
        if not has_parts or (stage, None) not in known:
            continue
        is_apart = any(name == stage and part is not None for name, part in known)
        if job.part is None:
            return known[stage, None] if is_apart else 0.0
        if not is_apart:
            # A run in one process: its time is shared out among what trains, about.
            training = [part for part in parts[stage] if part != "plan"]
            return known[stage, None] / len(training) if job.part in training else 0.0
    return None
