"""A T2 volume -> a synthetic T1 volume, slice by slice, slices batched."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

MOST_SLICES = 8
"""Slices that go through a network together."""
CPU_PIXELS = 256 * 256
"""Pixels that go through it together on a CPU: features of more leave its caches, and a slice takes a third longer."""


@torch.inference_mode()
def translate(
    generator: nn.Module,
    slices_unit: np.ndarray,
    batch_size: int | None = None,
    precision: torch.dtype = torch.float32,
) -> np.ndarray:
    """Translate every slice of a volume, on the device that holds the generator.

    When a GPU runs out of memory the batch is halved, down to one slice.

    Args:
        generator: (B, 1, Y, X) in [-1, 1] -> the same.
        slices_unit: (Z, Y, X) in [-1, 1].
        batch_size: Slices that go through together; None: `MOST_SLICES`, on a CPU fewer of large ones.
        precision: Arithmetic of the network; bfloat16 under autocast.

    Returns:
        float32 of the same shape and range.
    """
    device = next(generator.parameters()).device
    if batch_size is None:
        batch_size = MOST_SLICES
        if device.type == "cpu":
            _, rows, columns = slices_unit.shape
            batch_size = max(1, min(MOST_SLICES, CPU_PIXELS // (rows * columns)))
    autocast = precision != torch.float32
    was_training = generator.training
    generator.eval()
    result = np.empty(slices_unit.shape, dtype=np.float32)
    # No loop over batches, since a batch may have to go through again in halves.
    start = 0
    while start < len(slices_unit):
        stop = start + batch_size
        slices = np.ascontiguousarray(slices_unit[start:stop], dtype=np.float32)
        batch = torch.from_numpy(slices)[:, None]  # (B, 1, Y, X)
        try:
            with torch.autocast(device.type, precision, enabled=autocast):
                output = generator(batch.to(device))[:, 0]  # (B, Y, X)
        except torch.cuda.OutOfMemoryError:
            # Also for whoever shares the GPU, where the job ends here.
            torch.cuda.empty_cache()
            if batch_size == 1:
                raise
            batch_size = max(1, batch_size // 2)
            continue
        result[start:stop] = output.float().cpu().numpy()
        start = stop
    generator.train(was_training)
    return result
