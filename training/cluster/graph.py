"""The stages of several runs as a graph of jobs: what each needs, what is done already, what runs have in common.

A stage that two runs would make from the same things is one job: it is made in the folder of one of them, the owner,
and the others get a link to it. Nothing here starts anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.config import ResourcesConfig, RunConfig, resources_for, stages_of
from training.run_folder import DATA
from training.stage_module import parts_of
from training.stage_record import is_started, is_unchanged, needs_of, record_of
from training.stage_table import PREPARE, Stage
from training.status import DONE, state_of
from vestibule.files import read_json


@dataclass(frozen=True)
class Run:
    """A configuration, with its seed, and the folder of its run."""

    name: str
    config: RunConfig
    folder: Path


@dataclass(frozen=True)
class Job:
    """What one job of an engine makes: a stage of a run, or a part of one."""

    name: str
    """Run, stage and part, with slashes between them; no two jobs of a graph have one name."""
    run: Run
    """The owner of the stage."""
    stage: Stage
    part: str | None
    key: str
    """Tells what is made from what: another configuration gives another key."""
    needs: tuple[str, ...]
    """Names of the jobs that must be done before."""
    resources: ResourcesConfig
    is_done: bool = False
    links: tuple[tuple[Path, Path], ...] = ()
    """Folders of stages that the run gets from others, each with the folder of the owner's."""


@dataclass(frozen=True)
class Graph:
    """The jobs of some runs, each after those that it needs."""

    jobs: dict[str, Job] = field(default_factory=dict)

    def missing(self) -> list[Job]:
        """The jobs that are not done."""
        return [job for job in self.jobs.values() if not job.is_done]

    def waits_for(self, job: Job) -> list[str]:
        """Those of the jobs that `job` needs which are not done."""
        waits_for = []
        for name in job.needs:
            if not self.jobs[name].is_done:
                waits_for.append(name)
        return waits_for


@dataclass
class _Made:
    """A stage of some runs: one thing to make, whoever asks for it."""

    key: str
    stage: Stage
    runs: list[Run]
    needs: list[str]
    """Keys of the stages that it reads."""


def build_graph(runs: Sequence[Run]) -> Graph:
    """The jobs of the runs, in an order in which they can be made."""
    made = _stages_to_make(runs)
    owners: dict[str, Run] = {}
    done: set[str] = set()
    for key, entry in made.items():
        reads_done = all(needed in done for needed in entry.needs)
        owner = _owner_of(entry, reads_done)
        owners[key] = owner
        if reads_done and is_unchanged(entry.stage, owner.config, owner.folder):
            done.add(key)

    jobs: dict[str, Job] = {}
    for key, entry in made.items():
        for job in _jobs_of(entry, owners[key], made, owners):
            is_done = key in done or _is_part_done(job)
            jobs[job.name] = replace(job, is_done=is_done)
    return Graph(jobs)


def _stages_to_make(runs: Sequence[Run]) -> dict[str, _Made]:
    """Everything that is to be made, by a key that is the same for what runs have in common."""
    made: dict[str, _Made] = {}
    for run in runs:
        keys: dict[str, str] = {}
        for stage in stages_of(run.config):
            needed = []
            for other in needs_of(stage, run.config):
                needed.append(keys[other.name])
            key = _key_of(stage, run, keys)
            keys[stage.name] = key
            if key in made:
                made[key].runs.append(run)
            else:
                made[key] = _Made(key, stage, [run], needed)
    return made


def _key_of(stage: Stage, run: Run, keys: dict[str, str]) -> str:
    """Fingerprint of a stage by those of the stages that it reads, before any of them is there."""
    inputs: dict[str, Any] = {}
    for needed in needs_of(stage, run.config):
        inputs[needed.name] = keys[needed.name]
    if stage == PREPARE and not run.config.phantom:
        data = read_json(run.folder / DATA)
        inputs["data"] = json.dumps(data)
    if stage.sections is None:
        # What is given everything is named after its run, and is nobody else's.
        inputs["run"] = run.name
    record = record_of(stage, run.config, inputs)
    return record["fingerprint"]


def _owner_of(entry: _Made, reads_done: bool) -> Run:
    """In whose folder a stage is made: where it is done, else where it was begun, else the first that asks for it."""
    if len(entry.runs) == 1:
        return entry.runs[0]
    if reads_done:
        for run in entry.runs:
            if is_unchanged(entry.stage, run.config, run.folder):
                return _real(run, entry)
    for run in entry.runs:
        folder = entry.stage.folder(run.folder)
        if folder.is_dir() and not folder.is_symlink():
            return run
    return entry.runs[0]


def _real(run: Run, entry: _Made) -> Run:
    """The run in whose folder a stage truly lies, where another has a link to it."""
    place = entry.stage.folder(run.folder).resolve()
    for other in entry.runs:
        folder = entry.stage.folder(other.folder)
        if not folder.is_symlink() and folder.resolve() == place:
            return other
    return run


def _jobs_of(entry: _Made, owner: Run, made: dict[str, _Made], owners: dict[str, Run]) -> list[Job]:
    """The jobs of a stage: its parts layer by layer, and itself."""
    stage = entry.stage
    name = f"{owner.name}/{stage.name}"
    before = []
    for needed in entry.needs:
        owner_of_needed = owners[needed]
        stage_of_needed = made[needed].stage
        before.append(f"{owner_of_needed.name}/{stage_of_needed.name}")
    resources = resources_for(stage.name, owner.config.resources)
    without_gpus = replace(resources, gpus=0)
    links = _links_of(entry, owner, made, owners)

    jobs = []
    needs = tuple(before)
    layers = parts_of(stage, owner.config)
    for layer in layers:
        names = []
        for part in layer:
            own = resources if part.uses_gpus else without_gpus
            job = Job(f"{name}/{part.name}", owner, stage, part.name, entry.key, needs, own, links=links)
            jobs.append(job)
            names.append(job.name)
        needs = tuple(names)
    # Where there are parts, what is left is to put them together.
    own = without_gpus if layers else resources
    jobs.append(Job(name, owner, stage, None, entry.key, needs, own, links=links))
    return jobs


def _links_of(
    entry: _Made, owner: Run, made: dict[str, _Made], owners: dict[str, Run]
) -> tuple[tuple[Path, Path], ...]:
    """What a job's run must have of other runs: every stage that it reads, and what those read."""
    links = {}
    waiting = list(entry.needs)
    while waiting:
        key = waiting.pop()
        needed = made[key]
        waiting += needed.needs
        if owners[key] != owner:
            place = needed.stage.folder(owner.folder)
            links[place] = needed.stage.folder(owners[key].folder)
    return tuple(sorted(links.items()))


def _is_part_done(job: Job) -> bool:
    """Whether a part was made from what the job would make it from."""
    if job.part is None:
        return False
    run_dir = job.run.folder
    if state_of(run_dir, job.stage.name, job.part) != DONE:
        return False
    return is_started(job.stage, job.run.config, run_dir)
