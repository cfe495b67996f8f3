"""Which device networks run on."""

from __future__ import annotations

import torch

from vestibule.errors import InputError


def pick_device(name: str | None = None) -> torch.device:
    """The device called `name` (`cpu`, `cuda`), or for None and `auto` the GPU where there is one.

    Raises InputError where `cuda` is asked for and not there.
    """
    if name is None or name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("no CUDA device found; use --device cpu, or run where a GPU is visible")
    return torch.device(name)
