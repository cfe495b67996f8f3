"""Where and in which arithmetic the GAN stages run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from vestibule.device import pick_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Compute with 0 in the place of subnormal numbers: a `with` block, or a function that this decorates.

    Moments of parameters that get no gradient decay to such numbers, which a CPU computes many times slower. Not
    around SciPy's k-d tree: it steps to the next larger number where points coincide, and with subnormal steps taken
    for 0 it recurses until the stack is full.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def make_fabric(precision: str) -> Fabric:
    """A Fabric for one device, a GPU where there is one, in `precision` (`auto`: bf16 where the device has it).

    Under `torchrun` every process has a device of its own, and is joined to the others.
    """
    # Here, since it takes seconds to import, and most stages ask this module for other things.
    from training.gan.distributed import launch_fabric

    device = pick_device()
    return launch_fabric(device.type, _named(precision, device))


def convolution_type(precision: str, device: torch.device) -> torch.dtype:
    """Type in which convolutions run where no Fabric does it: bfloat16 where `precision` says so, else float32."""
    return torch.bfloat16 if _named(precision, device).startswith("bf16") else torch.float32


def layout_for(dtype: torch.dtype) -> torch.memory_format:
    """Memory layout in which convolutions of small images are fast: for bfloat16 with the channels last."""
    return torch.channels_last if dtype is torch.bfloat16 else torch.contiguous_format


def _named(precision: str, device: torch.device) -> str:
    if precision != "auto":
        return precision
    return "bf16-mixed" if has_bfloat16(device) else "32-true"


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16; emulated, it is far slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
