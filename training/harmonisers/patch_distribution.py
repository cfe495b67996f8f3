"""GPDM: the patches of a slice are moved until they are distributed as the reference's. Elnekave and Weiss 2022.

Nothing is trained. What is made small is the sliced Wasserstein distance: patches are projected onto random directions,
and along each direction sorted values are compared with sorted values. The pixels themselves are what steps of Adam
change, scale by scale. A slice enters at a scale: it keeps its structure above that scale. The levels are these scales.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import conv2d, fold, unfold

from training.config import GPDMConfig, HarmoniserSettings
from training.harmonisers.patch_pyramid import PatchPyramidHarmoniser
from training.harmonisers.pyramid import resize, size_at

SEED = 0
"""Of the directions: all slices are compared along the same ones, whatever is harmonised with them."""
EPSILON = 1e-3
"""Adam's, in intensities: where patches differ by less, as by rounding, a step is smaller than the learning rate."""


class PatchDistributionHarmoniser(PatchPyramidHarmoniser):
    """Direct matching of the distributions of patches."""

    Settings: ClassVar[type[HarmoniserSettings]] = GPDMConfig
    settings: GPDMConfig

    def __init__(self, image: np.ndarray, settings: GPDMConfig) -> None:
        """A harmoniser of the slice `image`, float32 (Y, X) in [-1, 1]."""
        super().__init__(image, settings)
        self._targets: dict[int, torch.Tensor] = {}

        generator = torch.Generator().manual_seed(SEED)
        side = settings.patch_px
        shape = (settings.steps, settings.projections, 1, side, side)
        directions = torch.randn(shape, generator=generator)
        lengths = directions.square().sum(dim=(-2, -1), keepdim=True).sqrt()
        self.directions = directions / lengths  # (steps, K, 1, P, P), of length 1

    def harmonise_one(self, image: torch.Tensor, level: int, generator: torch.Generator | None) -> torch.Tensor:
        """`image` (1, 1, Y, X) with its patches matched from scale `level` on; there is no noise."""
        full_yx = tuple(image.shape[-2:])
        current = image
        for scale in range(level, len(self.sizes)):
            size_yx = size_at(self.sizes, scale, full_yx, self.settings.patch_px)
            current = resize(current, size_yx)
            current = self.match(current, scale)
        return current

    def match(self, image: torch.Tensor, scale: int) -> torch.Tensor:
        """`image` (1, 1, Y, X) of the size of `scale`, after all steps there."""
        settings = self.settings
        rows, columns = image.shape[-2:]
        lost = settings.patch_px - 1
        targets = self._targets_of(scale, (rows - lost) * (columns - lost))
        pixels = image.clone()
        optimiser = torch.optim.Adam([pixels], lr=settings.learning_rate, eps=EPSILON)
        for step in range(settings.steps):
            # Towards the end small steps, since each has directions of its own.
            remaining = 1 - step / settings.steps
            optimiser.param_groups[0]["lr"] = settings.learning_rate * remaining
            pixels.grad = distance_gradient(pixels, self.directions[step], targets[step])
            optimiser.step()
        return pixels.clamp(-1, 1)

    def _targets_of(self, scale: int, count: int) -> torch.Tensor:
        """The reference's patches at a scale, as `count` sorted values along each direction: (steps, K, `count`)."""
        targets = self._targets.get(scale)
        # Kept for the next slice of a volume, which has as many patches.
        if targets is None or targets.shape[-1] != count:
            full = torch.from_numpy(self.image)[None, None]  # (1, 1, Y, X)
            current = resize(full, self.sizes[scale])
            filters = self.directions.flatten(0, 1)  # (steps * K, 1, P, P)
            projected = conv2d(current, filters)[0].flatten(1)  # (steps * K, M)
            values, _ = projected.sort(dim=1)
            steps, projections = self.directions.shape[:2]
            targets = quantiles(values, count).view(steps, projections, count)
            self._targets[scale] = targets
        return targets


def distance_gradient(image: torch.Tensor, directions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Gradient, by the pixels, of the squared sliced Wasserstein distance of an image's patches to a reference's.

    That is half the sum of squared differences between sorted values, as a mean over the directions.

    Args:
        image: (1, 1, Y, X).
        directions: K filters of length 1, (K, 1, P, P).
        targets: The reference's patches along each direction, sorted, as many as the image has, (K, N).

    Returns:
        (1, 1, Y, X).
    """
    size_yx = image.shape[-2:]
    patch_px = directions.shape[-1]
    filters = directions.flatten(1)  # (K, P²)
    patches = unfold(image, patch_px)[0]  # (P², N)
    projected = filters @ patches  # (K, N)
    order = order_of(projected)

    # Which value is whose partner stays the same under a small change.
    partners = torch.empty_like(projected).scatter_(1, order, targets)
    differences = projected - partners
    by_patch = filters.T @ differences  # (P², N)
    return fold(by_patch[None], size_yx, patch_px) / len(directions)


def order_of(values: torch.Tensor) -> torch.Tensor:
    """Places of the sorted values in each row of `values`, float32 (K, N): (K, N)."""
    # NumPy sorts numbers many times faster than PyTorch sorts them with their places. A float64 has 29 bits more than
    # a float32, and a value's place goes there.
    places = np.arange(values.shape[1])
    wide = values.double().numpy()
    packed = wide.view(np.int64) | places
    packed = np.sort(packed.view(np.float64), axis=1)
    mask = (1 << 29) - 1
    return torch.from_numpy(packed.view(np.int64) & mask)


def quantiles(sorted_values: torch.Tensor, count: int) -> torch.Tensor:
    """`count` quantiles, midpoints of equal shares, of each row of `sorted_values` (K, M): (K, `count`).

    For as many as there are values, these values.
    """
    available = sorted_values.shape[1]
    # In double precision, so that a place that is a whole number stays one.
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    places = (shares * available - 0.5).clamp(0, available - 1)
    below = places.long()
    above = (below + 1).clamp(max=available - 1)
    part = (places - below).float()
    return torch.lerp(sorted_values[:, below], sorted_values[:, above], part)
