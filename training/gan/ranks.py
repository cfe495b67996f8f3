"""Which of the processes that `torchrun` started this one is; a process that it did not start is the first and only.

Asked of the environment, so that stages that one process makes alone need not import Lightning Fabric.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from vestibule.device import pick_device

P = ParamSpec("P")
T = TypeVar("T")


def processes() -> int:
    """How many train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def leads() -> bool:
    """Whether this process is the one that writes."""
    return processes() == 1 or int(os.environ["RANK"]) == 0


def leader_only(function: Callable[P, None]) -> Callable[P, None]:
    """A function that does nothing in any process but the first."""

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> None:
        if leads():
            function(*arguments, **named)

    return call


def from_leader(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, which alone calls it, in every process; all wait for it."""
    if processes() == 1:
        return make()
    # Here, since it takes seconds to import.
    from training.gan.distributed import launch_fabric

    fabric = launch_fabric(pick_device().type, "32-true")
    made = make() if fabric.is_global_zero else None
    return cast(T, fabric.broadcast(made))
