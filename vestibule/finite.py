"""Tensors that are numbers throughout: what a training that diverged has left is neither stored nor run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vestibule.errors import InputError

if TYPE_CHECKING:
    import torch


def require_finite(tensors: Mapping[str, torch.Tensor], where: object) -> None:
    """Raise InputError for the first tensor that holds NaN or infinity.

    Args:
        tensors: By name, on any device and of any type.
        where: What they belong to, a file say; the message begins with it.

    Raises:
        InputError: Names the tensor, and how many of its values are not finite.
    """
    for name, tensor in tensors.items():
        finite = tensor.isfinite()
        if finite.all():
            continue
        broken = finite.numel() - int(finite.sum())
        raise InputError(
            f"{where}: {broken} of {finite.numel()} values of the tensor {name} are not finite, as after a training "
            "that diverged; train again with a lower learning rate"
        )
