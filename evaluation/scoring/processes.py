"""Work on items in processes of their own, where an item that kills its process costs no other item."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_BYTES = 2 << 30
"""Memory that one process may need: the largest masks of the challenge, at their noisiest."""


def default_workers(items: int) -> int:
    """As many processes as there are cores for this one and memory for each, and no more than `items`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, items, _free_bytes() // WORKER_BYTES))


def each_in_a_process(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | None]]:
    """Yield (item, function(item)) as they come, or (item, None) where the process died over the item.

    An exception of the function is raised here. After a death, the items that were under way are tried again one at a
    time, so that only the guilty one is lost.
    """
    waiting = list(reversed(items))
    while waiting:
        suspects: list[Item] = []
        yield from _until_one_dies(function, waiting, workers, suspects)
        for suspect in suspects:
            retried: list[Item] = []
            yield from _until_one_dies(function, [suspect], 1, retried)
            if retried:
                yield suspect, None


def _until_one_dies(
    function: Callable[[Item], Result], waiting: list[Item], workers: int, suspects: list[Item]
) -> Iterator[tuple[Item, Result]]:
    """Take items off the end of `waiting`; where a process dies, put those under way into `suspects` and stop."""
    running: dict[Future, Item] = {}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * workers:
                    running[pool.submit(function, waiting[-1])] = waiting[-1]
                    waiting.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            suspects += running.values()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _free_bytes() -> int:
    free = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else []
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        if limit != "max":
            free.append(int(limit) - int(used))
    except (OSError, ValueError):
        pass
    return min(free, default=WORKER_BYTES)
