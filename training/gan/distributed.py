"""Processes that train one model together, started by `torchrun`; alone, every function here leaves things as they are.

Each process samples the batches of all, from the same generator, and takes its own: so that N processes of batch B see
what one process of batch N x B would. Gradients are averaged before a step; every image is normalised by itself, so
the sums are the same but for rounding.

Collectives are Lightning Fabric's; which process is the first, `training.gan.ranks` tells without it.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy

from training.gan.ranks import processes

T = TypeVar("T")
PATIENCE = timedelta(days=30)
"""How long a process waits for the first one, which does the stages that one process does alone."""


class SharedStrategy(DDPStrategy):
    """Fabric's distributed strategy without its wrapper around networks.

    The wrapper averages gradients in each backward pass. Here generators are passed several times before one, and
    discriminators are frozen in between, which it does not allow for; `average_gradients` does it before each step.
    """

    def setup_module(self, module: torch.nn.Module) -> torch.nn.Module:  # type: ignore[override]
        """Return the network as it is."""
        return module


def launch_fabric(accelerator: str, precision: str) -> Fabric:
    """A Fabric for this process, joined to the others where `torchrun` started several.

    Args:
        accelerator: `cpu` or `cuda`; each process takes one device.
        precision: Fabric's name of the arithmetic, such as `32-true`.
    """
    count = processes()
    if count == 1:
        # Named, since Fabric would otherwise take a job of Slurm for processes that train together.
        alone = LightningEnvironment()
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[alone])  # type: ignore[arg-type]

    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    # Gloo carries Python objects and tensors of the CPU, NCCL those of GPUs.
    backend = "cpu:gloo,cuda:nccl" if accelerator == "cuda" else "gloo"
    strategy = SharedStrategy(process_group_backend=backend, timeout=PATIENCE)
    fabric = Fabric(
        accelerator=accelerator,
        strategy=strategy,
        devices=here,
        num_nodes=count // here,
        precision=precision,  # type: ignore[arg-type]
        plugins=[TorchElasticEnvironment()],
    )
    fabric.launch()
    # Left to the interpreter's end, Gloo's threads are now and then destroyed while they run, which aborts the process.
    atexit.unregister(_leave)
    atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Leave the other processes, where this one had joined them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def own_share(fabric: Fabric, sample: Callable[[], T]) -> T:
    """Call `sample` for every process in turn, and keep what is for this one."""
    shares = []
    for _ in range(fabric.world_size):
        shares.append(sample())
    return shares[fabric.global_rank]


def together(fabric: Fabric, function: Callable[[torch.Tensor], torch.Tensor], own: torch.Tensor) -> torch.Tensor:
    """This process's part of a function of the tensors of all processes.

    Args:
        fabric: Knows the processes.
        function: Called with the tensors one after the other along the batch, (processes x B, ...); keeps the shape.
        own: This process's tensor (B, ...).

    Returns:
        What `function` made of `own`, (B, ...).
    """
    # (processes, B, ...), or (B, ...) where there is one process.
    gathered = cast(torch.Tensor, fabric.all_gather(own))
    batch = gathered.reshape(-1, *own.shape[1:])

    made = function(batch)
    shares = made.split(len(own))
    return shares[fabric.global_rank]


def mean_over_processes(fabric: Fabric, own: torch.Tensor) -> torch.Tensor:
    """Mean of a tensor over the processes, which is written to `own` too."""
    return cast(torch.Tensor, fabric.all_reduce(own))


def average_gradients(fabric: Fabric, optimiser: torch.optim.Optimizer) -> None:
    """Set every gradient of what `optimiser` trains to its mean over the processes."""
    if fabric.world_size == 1:
        return
    gradients = []
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                gradients.append(parameter.grad)

    # One message for all is far faster than one a tensor.
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    means = mean_over_processes(fabric, flat)
    start = 0
    for gradient in gradients:
        end = start + gradient.numel()
        gradient.copy_(means[start:end].view_as(gradient))
        start = end
