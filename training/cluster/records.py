"""What was submitted: `jobs.json` in the folder of a submission, for its status and for submitting again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vestibule.files import read_json, write_json

if TYPE_CHECKING:
    from training.cluster.graph import Graph, Job

JOBS = "jobs.json"
"""File in the folder of a submission."""
FOLDER = "jobs"
"""Folder with the logs and with what engines write."""


@dataclass(frozen=True)
class Record:
    """A job as it was submitted."""

    name: str
    run: str
    """Folder of the run, relative to that of the submission."""
    stage: str
    part: str | None
    key: str
    needs: tuple[str, ...]
    log: str
    """Path of its log, relative to the folder of the submission."""
    engine: str
    id: str | None = None
    """What the engine calls it; None: it was done before."""


def log_of(root: Path, job: Job) -> Path:
    """Where a job's output is added."""
    name = job.name.replace("/", ".")
    return root / FOLDER / "logs" / f"{name}.log"


def record_of(root: Path, job: Job, engine: str, number: str | None) -> Record:
    """The record of a job that an engine knows as `number`."""
    run = job.run.folder.relative_to(root)
    log = log_of(root, job).relative_to(root)
    return Record(
        job.name,
        str(run),
        job.stage.name,
        job.part,
        job.key,
        job.needs,
        log=str(log),
        engine=engine,
        id=number,
    )


def write_records(root: Path, records: Iterable[Record]) -> None:
    """Keep the records of a submission; those of earlier ones are replaced."""
    write_json(root / JOBS, {"jobs": [asdict(record) for record in records]})


def read_records(root: Path) -> dict[str, Record]:
    """The records by the jobs' names; none where nothing was submitted."""
    content = read_json(root / JOBS) or {}
    records = {}
    for entry in content.get("jobs", []):
        needs = tuple(entry.pop("needs"))
        record = Record(**entry, needs=needs)
        records[record.name] = record
    return records


def all_records(root: Path, graph: Graph, engine: str, numbers: dict[str, str]) -> list[Record]:
    """Records of all jobs of a graph; `numbers` has what the engine calls those that it knows."""
    records = []
    for job in graph.jobs.values():
        number = numbers.get(job.name)
        records.append(record_of(root, job, engine, number))
    return records
