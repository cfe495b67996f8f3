"""The engine `local`: the jobs of a graph as processes of this machine, each once what it needs is done."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from training.cluster.calls import call_for
from training.cluster.graph import Graph, Job
from training.cluster.records import FOLDER, all_records, write_records
from training.cluster.schedule import Machine, Schedule
from vestibule.errors import InputError
from vestibule.stopping import telling

POLL_S = 0.2
STDERR = 2
NO_LIMIT_MIN = 10 * 365 * 24 * 60
"""Minutes, since submitit asks for a limit: nobody waits for this machine, and a job that goes on loses nothing."""


def run_locally(
    graph: Graph, root: Path, machine: Machine, seconds: Mapping[str, float], report: Callable[[str], None]
) -> None:
    """Make all that is missing, as many jobs at once as the machine has room for.

    Args:
        graph: All jobs.
        root: Folder of the submission.
        machine: What of this machine may be used.
        seconds: How long jobs take, where that is known.
        report: Called with a line on what happens.

    Raises:
        InputError: A job failed; what does not need it was made.
    """
    schedule = Schedule(graph, machine, seconds)
    free_gpus = list(range(machine.gpus))
    running: dict[str, tuple[Any, list[int]]] = {}
    numbers: dict[str, str] = {}
    dropped: list[str] = []
    write_records(root, all_records(root, graph, "local", numbers))

    try:
        with telling(lambda: f"{len(running)} jobs were stopped and go on from their last checkpoints"):
            while schedule.waiting or running:
                while job := schedule.next():
                    gpus, _ = machine.needs(job)
                    devices, free_gpus = free_gpus[:gpus], free_gpus[gpus:]
                    started = _start(job, root, devices)
                    running[job.name] = (started, devices)
                    numbers[job.name] = started.job_id
                    write_records(root, all_records(root, graph, "local", numbers))
                    report(f"{job.name}: begun")
                time.sleep(POLL_S)
                for name, (started, devices) in list(running.items()):
                    if not started.done():
                        continue
                    del running[name]
                    free_gpus += devices
                    is_made = started.exception() is None
                    dropped += schedule.end(name, is_made)
                    word = "done" if is_made else "failed"
                    report(f"{name}: {word}")
    finally:
        for started, _ in running.values():
            started.cancel()

    if schedule.failed:
        names = ", ".join(schedule.failed)
        more = f"; not made for want of them: {', '.join(dropped)}" if dropped else ""
        raise InputError(f"{root}: failed: {names}{more}; see vestibule train status {root}, and submit again")


def _start(job: Job, root: Path, devices: list[int]) -> Any:
    """A local job of submitit, running."""
    import submitit

    executor = submitit.LocalExecutor(root.resolve() / FOLDER / "submitit")
    executor.update_parameters(timeout_min=NO_LIMIT_MIN, gpus_per_node=len(devices), visible_gpus=devices)
    call = call_for(job, root, len(devices))
    with _stderr_in(call.log):
        return executor.submit(call)


@contextlib.contextmanager
def _stderr_in(log: Path) -> Iterator[None]:
    """A block whose new processes write to a log in place of the terminal: submitit's own end in tracebacks."""
    log.parent.mkdir(parents=True, exist_ok=True)
    own = os.dup(STDERR)
    try:
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), STDERR)
        yield
    finally:
        os.dup2(own, STDERR)
        os.close(own)


def this_machine() -> Machine:
    """The GPUs and cores that this process may use."""
    import torch

    cpus = os.cpu_count() or 1
    # Not on a Mac.
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    gpus = torch.cuda.device_count()
    return Machine(gpus, cpus)
