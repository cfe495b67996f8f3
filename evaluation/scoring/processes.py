"""Work on items in processes of their own, where an item that kills its process costs no other item."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from vestibule.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_BYTES = 2 << 30
"""Memory that one process may need: the largest masks of the challenge, at their noisiest."""


def default_workers(items: int) -> int:
    """As many processes as there are cores for this one and memory for each, and no more than `items`."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    in_memory = _free_bytes() // WORKER_BYTES
    return max(1, min(cores, items, in_memory))


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
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
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
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
