"""A segmenter that is trained with a translator, so that erasing a tumour costs.

It finds the structures of T1's labels in synthetic T2. Whatever the translation erases it cannot find, and its loss
reaches the generator. Published for crossMoDA 2022 (Super_Polymerization: .776 -> .829 VS Dice).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from torch import nn

from training.data.slices import PreparedCase
from vestibule.errors import InputError

FEATURES = (16, 16, 32, 64, 128, 16)
"""Channels of the U-Net from the top to the bottom, and of its last layer: small beside the generators."""


class SegmentationHead(nn.Module):
    """A small U-Net on slices, and its loss against labels."""

    def __init__(self, values: Sequence[int]) -> None:
        """Weights are random.

        Args:
            values: The labels' values, ascending and without background; each is a class of its own.
        """
        super().__init__()
        classes = len(values) + 1
        self.network = BasicUNet(
            spatial_dims=2, in_channels=1, out_channels=classes, features=FEATURES, norm=("instance", {"affine": True})
        )
        # Dice and cross-entropy, as nnU-Net has them. Slices without a structure teach by the latter alone.
        self._loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        # A buffer, so that it follows the network to its device.
        self.register_buffer("values", torch.tensor(values), persistent=False)
        self.values: torch.Tensor

    def forward(self, image: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of what is found in images.

        Args:
            image: Synthetic slices (B, 1, Y, X) in [-1, 1].
            labels: Their labels (B, 1, Y, X), background 0.

        Returns:
            Dice loss and cross-entropy, a scalar.
        """
        # Values such as 1, 2 and 4 become classes 1, 2 and 3.
        classes = torch.zeros_like(labels)
        for number, value in enumerate(self.values, start=1):
            classes = torch.where(labels == value, float(number), classes)
        logits = self.network(image)  # (B, classes, Y, X)
        # Small structures need the sums of the Dice loss in full precision.
        return self._loss(logits.float(), classes)

    @torch.no_grad()
    def found(self, image: torch.Tensor) -> torch.Tensor:
        """What is found in slices (B, 1, Y, X), as numbers of classes scaled to [-1, 1], likewise (B, 1, Y, X)."""
        classes = self.network(image).argmax(dim=1, keepdim=True)
        return classes / len(self.values) * 2 - 1


def label_values(cases: Sequence[PreparedCase]) -> list[int]:
    """The values that the labels of `cases` hold, ascending and without background.

    Raises InputError where a case has no label, or no label holds a structure: there is nothing to find.
    """
    found: set[int] = set()
    for case in cases:
        if case.label_path is None:
            raise InputError(f"{case.name}: has no label, which cyclegan.segmentation_weight needs; set that to 0")
        present = np.unique(case.labels)
        found.update(present.tolist())
    found.discard(0)
    if not found:
        raise InputError(
            f"the labels of {len(cases)} cases hold no structure, which cyclegan.segmentation_weight needs; set it to 0"
        )
    return sorted(found)
