"""One stage in a process of its own, which may fail, or be killed, without an end to the rehearsal."""

from __future__ import annotations

import logging
import os
import re
import resource
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from training.config import RunConfig
from training.stage_table import Stage
from vestibule.errors import InputError

KILLED = "its process was killed with exit code {code}; a machine that is short of memory does that"
KIB = 1024
STATUS = Path("/proc/self/status")
"""Where Linux tells what a process holds."""


@dataclass(frozen=True)
class Trial:
    """What a stage took in the rehearsal."""

    seconds: float
    memory_bytes: int = 0
    """Most memory that its process, or one that it started, has held."""
    gpu_bytes: int = 0
    """Most memory that PyTorch has held on the GPU."""
    failure: str | None = None
    """Why it failed, in one line."""
    cpu_seconds: float = 0.0
    """Seconds of all processor cores together, of its process and of those that it started."""


def tried(stage: Stage, config: RunConfig, run_dir: Path, data: Path | None) -> Trial:
    """Run a stage and tell what it took.

    Args:
        stage: A row of the table; the stages that it needs are done.
        config: Of the rehearsal.
        run_dir: Folder of the rehearsal's run.
        data: Its data; None for phantoms.

    Returns:
        Time, memory, and why it failed where it did.
    """
    # A fresh process, whose peak of memory is the stage's own.
    spawn = get_context("spawn")
    ours, its = spawn.Pipe(duplex=False)
    begin = time.monotonic()
    process = spawn.Process(target=_run, args=(stage, config, run_dir, data, its))
    process.start()
    its.close()
    try:
        told: Trial | None = ours.recv()
    except EOFError:
        told = None
    process.join()
    seconds = time.monotonic() - begin
    if told is None:
        return Trial(seconds, failure=KILLED.format(code=process.exitcode))
    return told


def _run(stage: Stage, config: RunConfig, run_dir: Path, data: Path | None, pipe: Connection) -> None:
    """Run a stage in this process, and send what it took."""
    from training.runner import run_stages

    # What is warned of a result means nothing after a few steps.
    logging.disable(logging.WARNING)
    failure = None
    begin = time.monotonic()
    try:
        run_stages(config, run_dir, data, stage, report=lambda line: None)
    except InputError as error:
        failure = " ".join(str(error).split())
    except (Exception, SystemExit) as error:
        # Whatever it is, the stages that do not need this one are still tried.
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
    seconds = time.monotonic() - begin
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory = KIB * max(_own_kib(), others)
    pipe.send(Trial(seconds, memory, _gpu_bytes(), failure, _cpu_seconds()))


def _cpu_seconds() -> float:
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system


def _own_kib() -> int:
    """Most memory that this process has held, KiB."""
    if STATUS.is_file():
        found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))
        if found:
            return int(found[1])
    # Elsewhere by what begins with the parent's own memory.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _gpu_bytes() -> int:
    import torch

    if not torch.cuda.is_available():
        return 0
    return int(torch.cuda.max_memory_reserved())
