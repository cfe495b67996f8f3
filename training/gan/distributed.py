"""Processes that train one model together, started by `torchrun`; alone, every function here leaves things as they are.

Each process draws the batches of all, from the same generator, and takes its own: so that N processes of batch B see
what one process of batch N x B would. Gradients are averaged before a step; every image is normalised by itself, so
the sums are the same but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"""How long a process waits for the first one, which does the stages that one process does alone."""


def world_size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """Number of this process on its machine: which GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", 0))


def leads() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def join() -> None:
    """Find the other processes. Gloo carries tensors of the CPU, NCCL those of GPUs."""
    if world_size() > 1 and not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)


def from_leader(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, which alone calls it, in every process; all wait for it."""
    if world_size() == 1:
        return make()
    join()
    content = [make() if leads() else None]
    distributed.broadcast_object_list(content)
    return content[0]


def own_share(draw: Callable[[], T]) -> T:
    """Call `draw` for every process in turn, and keep what is for this one."""
    return [draw() for _ in range(world_size())][rank()]


def together(function: Callable[[torch.Tensor], torch.Tensor], own: torch.Tensor) -> torch.Tensor:
    """This process's part of `function` of the tensors (B, ...) of all processes, one after the other in the batch."""
    if world_size() == 1:
        return function(own)
    parts = [torch.empty_like(own) for _ in range(world_size())]
    distributed.all_gather(parts, own.contiguous())
    return function(torch.cat(parts)).split(len(own))[rank()]


def mean_over_processes(own: torch.Tensor) -> torch.Tensor:
    """Mean of a tensor over the processes, in the place of `own`."""
    if world_size() > 1:
        distributed.all_reduce(own)
        own /= world_size()
    return own


def average_gradients(optimiser: torch.optim.Optimizer) -> None:
    """Set every gradient of what `optimiser` trains to its mean over the processes."""
    if world_size() == 1:
        return
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = mean_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
