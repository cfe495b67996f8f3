"""Instance normalisation of volumes, without a copy to another layout."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class VolumeNorm(nn.InstanceNorm3d):
    """As `nn.InstanceNorm3d`. On a CPU, a single volume goes through batch normalisation, which is the same sum there.

    PyTorch's own instance norm first copies a volume whose channels come last, and so does the convolution behind it:
    together a fifth of nnU-Net's time.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise each channel (B, C, Z, Y, X) of each volume by itself."""
        # What is traced must hold for any number of volumes.
        if len(features) > 1 or features.device.type != "cpu" or torch.jit.is_tracing():
            return super().forward(features)
        return functional.batch_norm(features, None, None, self.weight, self.bias, True, 0.0, self.eps)
