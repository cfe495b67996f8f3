"""Independent trainings side by side, one a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch

T = TypeVar("T")


def side_by_side(function: Callable[..., T], jobs: Sequence[tuple], workers: int | None = None) -> list[T]:
    """`function(*job)` of every job, in their order; in as many processes as there are jobs and cores.

    The cores are shared out among the processes. `function` must be importable; with one job or one core all happens in
    this process. An error of a job is raised here once the others are done.
    """
    workers = min(len(jobs), workers or os.cpu_count() or 1)
    if workers < 2:
        return [function(*job) for job in jobs]
    threads = max(1, torch.get_num_threads() // workers)
    # A forked process inherits torch's thread pools in a state that can hang; a fresh one does not.
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (threads,)) as pool:
        return [future.result() for future in [pool.submit(function, *job) for job in jobs]]
