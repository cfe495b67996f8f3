"""Tensors as safetensors, the one form in which weights are stored."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, whatever device they are on. Raises OSError where the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies, because safetensors refuses views and tensors that share their memory.
    copies: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        on_cpu = tensor.detach().cpu()
        copies[name] = on_cpu.clone().contiguous()
    try:
        save_file(copies, path)
    except SafetensorError as error:
        # A full disk says so in words alone.
        raise OSError(errno.EIO, str(error), str(path)) from error
