"""Independent work side by side: trainings in processes, files in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from typing import TypeVar

import torch

from vestibule.progress import track
from vestibule.stopping import die_with_parent

S = TypeVar("S")
T = TypeVar("T")

FILES_AT_ONCE = 4
"""Threads that read and write images, at most: each holds a few copies of a volume."""


def side_by_side(
    function: Callable[..., T], jobs: Sequence[tuple], workers: int | None = None, title: str | None = None
) -> list[T]:
    """Call a function for every job, in as many processes as there are jobs and cores.

    The cores are shared out among the processes; with one job or one core all happens in this process. An error of a
    job is raised here once the others are done.

    Args:
        function: What to call; it must be importable.
        jobs: Its arguments, a tuple a call.
        workers: Processes at most; by default as many as there are cores.
        title: Of a progress bar; without, there is none.

    Returns:
        What the calls returned, in the order of the jobs.
    """
    cores = os.cpu_count() or 1
    workers = min(len(jobs), workers or cores)
    if workers < 2:
        return [function(*job) for job in (track(jobs, title) if title else jobs)]
    threads = max(1, torch.get_num_threads() // workers)
    # A forked process inherits torch's thread pools in a state that can hang; a fresh one does not.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start_worker, (threads,)) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        if title:
            for _ in track(as_completed(futures), title, len(futures)):
                pass
        return [future.result() for future in futures]


def _start_worker(threads: int) -> None:
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)
    torch.set_num_threads(threads)


def file_by_file(function: Callable[[S], T], items: Sequence[S], title: str) -> list[T]:
    """Call a function for every item, in as many threads as there are cores, behind a progress bar.

    For work that reads, unpacks and resamples images: the libraries let other threads run meanwhile. The first error
    in the items' order is raised here, and what has not begun is left.

    Args:
        function: What to call.
        items: Its argument, one a call.
        title: Of the progress bar.

    Returns:
        What the calls returned, in the order of the items.
    """
    cores = os.cpu_count() or 1
    workers = min(cores, FILES_AT_ONCE)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in track(futures, title)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
