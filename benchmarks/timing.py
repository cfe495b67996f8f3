"""Two ways of the same work, timed in turn, so that what else runs on the machine falls on both."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import torch


def seconds_of(ways: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median seconds of a call of each way over `repeats` rounds, after one round that is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, call in ways.items():
            wait()
            begin = time.perf_counter()
            call()
            wait()
            if number:
                spent[name].append(time.perf_counter() - begin)
    return {name: median(values) for name, values in spent.items()}


def wait() -> None:
    """Let a GPU finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> str:
    """Threads, load of the machine from elsewhere and versions, to print above figures."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    load = os.getloadavg()[0]
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {load:.1f}, {gpu}"
