"""Environment variables, by which nnU-Net is told its folders and its number of processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager


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
