"""A T2 volume -> a synthetic T1 volume, slice by slice, slices batched."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


@torch.inference_mode()
def translate(
    generator: nn.Module, slices_unit: np.ndarray, batch_size: int = 8, precision: torch.dtype = torch.float32
) -> np.ndarray:
    """Every slice of `slices_unit` (Z, Y, X) in [-1, 1] through `generator`: float32 of the same shape and range.

    Runs on the device that holds the generator, in `precision` (bfloat16 under autocast). When a GPU runs out of
    memory the batch is halved, down to one slice.
    """
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    result = np.empty(slices_unit.shape, dtype=np.float32)
    start = 0
    while start < len(slices_unit):
        batch = torch.from_numpy(np.ascontiguousarray(slices_unit[start : start + batch_size], dtype=np.float32))
        try:
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                output = generator(batch[:, None].to(device))[:, 0]  # (B, 1, Y, X) -> (B, Y, X)
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
            torch.cuda.empty_cache()
            batch_size = max(1, batch_size // 2)
            continue
        result[start : start + batch_size] = output.float().cpu().numpy()
        start += batch_size
    generator.train(was_training)
    return result
