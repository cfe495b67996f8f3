"""How long jobs will take and how much they will write, where earlier runs, a rehearsal or the settings tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.cluster.graph import Graph, Job
from training.disk_space import expected_bytes
from training.run_folder import FINISHED, stage_record
from training.stage_module import parts_of
from training.status import PARTS, read_status
from vestibule.errors import InputError
from vestibule.files import read_json

Names = tuple[str, str | None]
"""Of a stage and of a part of it, where it is one."""


@dataclass
class Known:
    """What stages took, or are expected to take."""

    seconds: dict[Names, float] = field(default_factory=dict)
    disk_bytes: dict[str, int] = field(default_factory=dict)
    """By the stage's name."""


def known_by(graph: Graph, like: Sequence[Path] = ()) -> list[Known]:
    """What is known of the stages of a graph; of several that know the same, the first counts.

    Args:
        graph: All jobs; the folders of their runs are looked at first.
        like: Folders of earlier runs, and JSON files that `vestibule train rehearse` has written.

    Raises:
        InputError: One of `like` is neither.
    """
    folders: list[Path] = []
    for job in graph.jobs.values():
        if job.run.folder not in folders:
            folders.append(job.run.folder)
    known = [_of_run(folder) for folder in folders]
    for path in like:
        known.append(_of_run(path) if path.is_dir() else _of_rehearsal(path))
    return known


def expected_seconds(graph: Graph, known: Sequence[Known]) -> dict[str, float]:
    """Seconds of the jobs of a graph, of those that are known, by the jobs' names."""
    seconds = {}
    for job in graph.jobs.values():
        for one in known:
            found = _seconds_of(job, one)
            if found is not None:
                seconds[job.name] = found
                break
    return seconds


def expected_disk(graph: Graph, known: Sequence[Known]) -> int:
    """Bytes that the missing stages will write, as far as they or their data are known; 0 where nothing tells."""
    total = 0
    for job in graph.missing():
        if job.part is None:
            total += _bytes_of(job, known)
    return total


def _of_run(folder: Path) -> Known:
    """What the stages and parts of a run took that are done."""
    known = Known()
    for stage, entry in read_status(folder).items():
        for part, own in entry.get(PARTS, {}).items():
            if "seconds" in own:
                known.seconds[stage, part] = own["seconds"]
    for path in folder.glob(f"*/{FINISHED}"):
        record = stage_record(path)
        if record is None or "seconds" not in record:
            continue
        stage = path.parent.name
        known.seconds[stage, None] = record["seconds"]
        sizes = [file.stat().st_size for file in path.parent.rglob("*") if file.is_file()]
        known.disk_bytes[stage] = sum(sizes)
    return known


def _of_rehearsal(path: Path) -> Known:
    """What a rehearsal expects of the stages that it could try."""
    content = read_json(path)
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, list):
        raise InputError(f"{path}: is neither the folder of a run nor what vestibule train rehearse --json FILE writes")
    known = Known()
    for entry in stages:
        try:
            stage, seconds, size = entry["stage"], entry["seconds"], entry["disk_bytes"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: is no whole rehearsal; run vestibule train rehearse --json again") from error
        # Both are null where the stage would fail.
        if seconds is not None:
            known.seconds[stage, None] = float(seconds)
        if size is not None:
            known.disk_bytes[stage] = int(size)
    return known


def _bytes_of(job: Job, known: Sequence[Known]) -> int:
    stage = job.stage.name
    for one in known:
        if stage in one.disk_bytes:
            return one.disk_bytes[stage]
    return expected_bytes(job.stage, job.run.config, job.run.folder)


def _seconds_of(job: Job, known: Known) -> float | None:
    stage = job.stage.name
    own = known.seconds.get((stage, job.part))
    parts = [part for layer in parts_of(job.stage, job.run.config) for part in layer]
    if not parts or (own is not None and job.part is not None):
        return own
    whole = known.seconds.get((stage, None))
    if whole is None:
        return None
    if any(name == stage and part is not None for name, part in known.seconds):
        # Made in parts: what is known of the stage is the putting together alone.
        return own
    # One process made it: its parts that train take all of it, about.
    training = [part.name for part in parts if part.trains]
    return whole / len(training) if job.part in training else 0.0
