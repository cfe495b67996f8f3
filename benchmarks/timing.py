"""Two ways of the same work, side by side: timed in turn, so that what else runs falls on both, and their losses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import torch
from lightning_fabric import Fabric

from training.gan.devices import make_fabric

Model = TypeVar("Model")


def seconds_of(
    ways: dict[str, Callable[[], None]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of a call of each way over `repeats` rounds, after one round that is not counted.

    Args:
        ways: What to time.
        repeats: Rounds.
        clock: Tells the seconds; `time.process_time` leaves out what other work takes, and is for one thread on a CPU.
    """
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        # In turn, so that what else the machine does falls on all of them.
        for name, call in ways.items():
            wait()
            begin = clock()
            call()
            wait()
            seconds = clock() - begin
            if number:
                spent[name].append(seconds)
    return {name: median(values) for name, values in spent.items()}


def in_each_precision(make: Callable[[Fabric], Model]) -> dict[str, Model]:
    """Our way as `make` builds it: in float32 and, where that is another, in the automatic precision."""
    found = {"ours, float32": make(make_fabric("32-true"))}
    automatic = make_fabric("auto")
    if "bf16" in str(automatic._precision.precision):
        found["ours, bf16"] = make(automatic)
    return found


def wait() -> None:
    """Let a GPU finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def print_curves(
    ways: dict[str, Callable[..., dict[str, torch.Tensor]]], sample: Callable[[], tuple], steps: int, lines: int = 6
) -> None:
    """Train all on the same batches; print the means of the first way's losses over parts of the training.

    Args:
        ways: The updates, called with a batch; each returns its losses by name.
        sample: Gives a batch.
        steps: Updates in all.
        lines: Parts into which they are split.
    """
    part = max(1, steps // lines)
    for begin in range(0, steps - part + 1, part):
        means: dict[str, dict[str, float]] = {name: {} for name in ways}
        for _ in range(part):
            batch = sample()
            for name, step in ways.items():
                own = means[name]
                for loss, value in step(*batch).items():
                    own[loss] = own.get(loss, 0.0) + float(value.detach()) / part

        # The published update has fewer terms; what it has, ours has too.
        shared = sorted(next(iter(means.values())))
        for name, found in means.items():
            shown = "  ".join(f"{loss} {found[loss]:6.3f}" for loss in shared)
            print(f"{begin + 1:5d} to {begin + part:5d}  {name:>20}:  {shown}", flush=True)


def machine() -> str:
    """Threads, load of the machine from elsewhere and versions, to print above figures."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    load = os.getloadavg()[0]
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {load:.1f}, {gpu}"
