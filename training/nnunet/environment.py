"""Environment variables, by which nnU-Net is told its folders and its number of processes."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

MOST_WORKERS = 4
"""Processes of nnU-Net's that plan and preprocess."""
CASES_A_WORKER = 10
"""Each such process imports PyTorch and nnU-Net before it does anything, which takes seconds."""


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """A block with these environment variables; what they were before comes back after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def few_workers() -> AbstractContextManager[None]:
    """A block in which nnU-Net augments in this process, where there are no cores to spare for others."""
    cores_to_spare = (os.cpu_count() or 1) > 4
    if cores_to_spare or "nnUNet_n_proc_DA" in os.environ:
        return contextlib.nullcontext()
    return environment(nnUNet_n_proc_DA="0")


def workers_for(cases: int, cores: int) -> int:
    """How many processes nnU-Net is given to plan and preprocess so many cases on so many cores."""
    worthwhile = math.ceil(cases / CASES_A_WORKER)
    return min(MOST_WORKERS, cores, worthwhile)
