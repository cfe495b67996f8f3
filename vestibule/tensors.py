"""Tensors as safetensors, the one form in which weights are stored."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from vestibule.errors import InputError

if TYPE_CHECKING:
    import torch


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, on the CPU. Raises InputError, naming the file, where it is damaged or missing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    # Of a type that it has no name for, the library raises a KeyError, and of a size beyond all memory others.
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, whatever device they are on, in a file that others may read as the umask says.

    Raises OSError where the disk refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies, because safetensors refuses views and tensors that share their memory.
    copies: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        on_cpu = tensor.detach().cpu()
        copies[name] = on_cpu.clone().contiguous()
    # The library puts a file in its place that none but its owner may read, whatever the umask.
    path = Path(path)
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        save_file(copies, path)
        path.chmod(mode)
    except SafetensorError as error:
        # A full disk says so in words alone.
        raise OSError(errno.EIO, str(error), str(path)) from error
