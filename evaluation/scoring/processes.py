"""Work on items in processes of their own, where an item that kills its process costs no other item."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vestibule.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_BYTES = 2 << 30
"""Memory that one process may need: the largest masks of the challenge, at their noisiest."""


@dataclass
class _Kept:
    """Processes that outlive a call; None before the first and after one has died."""

    pool: ProcessPoolExecutor | None = None


_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def kept_processes() -> Iterator[None]:
    """Within the block, one call of `each_in_a_process` hands its processes on to the next.

    A process takes seconds to import what it needs, which many short calls would pay again and again.
    """
    kept = _Kept()
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        if kept.pool is not None:
            kept.pool.shutdown(cancel_futures=True)


def default_workers(items: int) -> int:
    """As many processes as there are cores for this one and memory for each, and no more than `items`."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    in_memory = _free_bytes() // WORKER_BYTES
    return max(1, min(cores, items, in_memory))


def chosen_workers(asked_for: int | None, items: int) -> int | None:
    """What a user's number of processes comes to: by default the machine's, and None, this process alone, for 1."""
    if asked_for is None:
        return default_workers(items)
    # One that is asked for is this process, which works where processes may share nothing.
    return None if asked_for == 1 else asked_for


def each_in_a_process(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None
) -> Iterator[tuple[Item, Result | None]]:
    """Apply a function to items in other processes.

    After the death of a process, the items that were under way are tried again one at a time, so that only the guilty
    one is lost.

    Args:
        function: What to apply; an exception of it is raised here.
        items: What to apply it to.
        workers: How many processes share the items; None for this process alone, which no item may kill.

    Yields:
        (item, function(item)) as they come, or (item, None) where the process died over the item.

    Raises:
        InputError: The system lets no processes share anything.
    """
    if workers is None:
        for item in items:
            yield item, function(item)
        return
    _check_semaphores()

    waiting = list(reversed(items))
    while waiting:
        suspects: list[Item] = []
        yield from _until_one_dies(function, waiting, workers, suspects)
        for suspect in suspects:
            retried: list[Item] = []
            yield from _until_one_dies(function, [suspect], 1, retried)
            if retried:
                yield suspect, None


def _check_semaphores() -> None:
    """Make the lock that processes share, where it can be said what is wrong: on Linux it is a file in /dev/shm."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        cause = getattr(error, "strerror", None) or error
        raise InputError(f"/dev/shm: processes cannot share the cases ({cause}); use --workers 1") from error


def _until_one_dies(
    function: Callable[[Item], Result], waiting: list[Item], workers: int, suspects: list[Item]
) -> Iterator[tuple[Item, Result]]:
    """Take items off the end of `waiting`; where a process dies, put those under way into `suspects` and stop."""
    running: dict[Future, Item] = {}
    with _pool_of(workers) as pool:
        try:
            while waiting or running:
                # Twice as many as there are processes, so that none waits for the next item.
                while waiting and len(running) < 2 * workers:
                    future = pool.submit(function, waiting[-1])
                    running[future] = waiting.pop()
                finished = wait(running, return_when=FIRST_COMPLETED).done
                for future in finished:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            suspects += running.values()
            _let_go()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _let_go()
            raise


@contextlib.contextmanager
def _pool_of(workers: int) -> Iterator[ProcessPoolExecutor]:
    """The kept processes where some are kept, else ones that end with the block."""
    kept = _kept.get()
    if kept is None:
        with _new_pool(workers) as pool:
            yield pool
        return
    if kept.pool is None:
        kept.pool = _new_pool(workers)
    yield kept.pool


def _new_pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _let_go() -> None:
    """End the kept processes, if any are: one of them has died, or the work is given up."""
    kept = _kept.get()
    if kept is not None and kept.pool is not None:
        kept.pool.shutdown(wait=False, cancel_futures=True)
        kept.pool = None


def _free_bytes() -> int:
    """Memory that is free, of the machine and of the container that this process may run in."""
    free = []
    if hasattr(os, "sysconf"):
        pages = os.sysconf("SC_AVPHYS_PAGES")
        free.append(pages * os.sysconf("SC_PAGE_SIZE"))
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = (group / "memory.current").read_text().strip()
        if limit != "max":
            free.append(int(limit) - int(used))
    except (OSError, ValueError):
        # No container, or one that tells no limit.
        pass
    return min(free, default=WORKER_BYTES)
