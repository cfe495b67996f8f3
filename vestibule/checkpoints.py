"""Checkpoints of PyTorch: written whole, and read without running what a pickle may hold."""

from __future__ import annotations

import contextlib
import errno
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vestibule.errors import InputError
from vestibule.files import atomic

BROKEN = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
"""What PyTorch raises for a file that was cut short or altered, by where."""
NUMBERS: list[Any] = [
    np.float64(0).__reduce__()[0],
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
]
"""What NumPy's numbers, which nnU-Net logs, are made of in a pickle."""
_FOREIGN = re.compile(r"(?:GLOBAL|class|function) ([\w.]+)")
"""What PyTorch says of a pickle that names what it does not open."""


def save_state(content: dict[str, Any], path: Path) -> None:
    """Write by `torch.save`, whole or not at all. Raises InputError where the disk refuses."""
    # Given a path, PyTorch tells of a full disk by a RuntimeError that does not name it.
    with atomic(path) as partial, partial.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            # Even so where the disk is full by the last bytes alone.
            free_mb = shutil.disk_usage(path.parent).free / 1e6
            raise OSError(errno.EIO, f"PyTorch stopped half way, and the disk has {free_mb:.0f} MB free") from error


def read_foreign_checkpoint(path: Path) -> dict[str, Any]:
    """What nnU-Net saved, from anyone: tensors, numbers and texts; nothing else in it is made or called.

    Args:
        path: The file.

    Returns:
        The content, its tensors on the CPU.

    Raises:
        InputError: The file is missing, damaged, holds anything else, or is no dictionary.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    with intact(path, "copy it again"):
        try:
            with torch.serialization.safe_globals(NUMBERS):
                content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            named = _FOREIGN.search(str(error))
            if named is None:
                raise
            raise InputError(
                f"{path}: holds more than tensors and numbers ({named.group(1):.80}), which might run anything; "
                "it is not opened"
            ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a checkpoint of nnU-Net, got {type(content).__name__}")
    return content


@contextlib.contextmanager
def intact(path: Path, advice: str) -> Iterator[None]:
    """A block that reads a checkpoint; what PyTorch raises for a broken one becomes InputError, which ends in `advice`.

    PyTorch itself does not notice a tensor with another byte; its files hold checksums, which are compared here.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
        yield
    except (PermissionError, InputError):
        raise
    except BROKEN as error:
        # The first line tells the cause; PyTorch's advice after it does not apply.
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: is cut short or damaged ({cause:.80}); {advice}") from error
