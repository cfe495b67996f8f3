"""Whether an image and its translation show the anatomy in one place, and what keeps a CycleGAN from shifting it.

Where heads are positioned differently in the two domains, the discriminators see the difference and the generators
learn it as a shift: one way in T1 -> T2, back in T2 -> T1, so that the cycle closes all the same. No label is needed to
measure the shift: it is the displacement between the edges of an image and those of its translation. The remedy is to
sample the parts of slices so far apart that no difference in position is left to learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import conv2d, pad

REACH = 3
"""Largest displacement that is measured, in voxels."""
CORRECTIONS = 8
"""How many times over a constant shift would be corrected in the course of a training."""
SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""Binomial filter, close to a Gaussian of one voxel."""
ROWS, COLUMNS = -2, -1
"""Axes of a batch of slices (B, 1, Y, X)."""


def shift_between(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Rows and columns by which the anatomy of `first` lies farther down and right in `second`, both (B, 1, Y, X).

    Between -`REACH` and `REACH`, by the agreement of edges, which needs no common contrast. Raises ValueError where
    the images are too small to be displaced so far.
    """
    rows = _peak(agreement(first, second, ROWS))
    columns = _peak(agreement(first, second, COLUMNS))
    return rows, columns


@torch.no_grad()
def agreement(first: torch.Tensor, second: torch.Tensor, axis: int) -> torch.Tensor:
    """How well the edges of two images agree at each displacement along an axis.

    The normalised gradient field of Haber and Modersitzki 2006: 1 where all edges are parallel, whatever their sign
    and height.

    Args:
        first: Images (B, 1, Y, X).
        second: Images of the same shape, whose anatomy may be displaced.
        axis: -2 for displacements by rows, -1 by columns.

    Returns:
        Agreement in [0, 1], (2 x `REACH` + 1,), for displacements from -`REACH` to `REACH` voxels.

    Raises:
        ValueError: The images are too small to be displaced so far.
    """
    height, width = first.shape[-2:]
    # Gradients lose a voxel on each side, displacements `REACH` more.
    lost = 2 + 2 * REACH
    if min(height, width) <= lost:
        raise ValueError(f"images must have more than {lost} rows and columns, got {height} x {width}")
    fixed = edge_directions(first)  # (B, 2, Y - 2, X - 2)
    moving = edge_directions(second)

    # Along the other axis nothing moves; both lose the same margin there, or the mean would be over other voxels.
    other = COLUMNS if axis == ROWS else ROWS
    common = fixed.shape[other] - 2 * REACH
    fixed = fixed.narrow(other, REACH, common)
    moving = moving.narrow(other, REACH, common)

    # One window of the first image is compared with windows of the second that lie -REACH to REACH voxels farther.
    size = fixed.shape[axis] - 2 * REACH
    fixed = fixed.narrow(axis, REACH, size)
    found = []
    for start in range(2 * REACH + 1):
        window = moving.narrow(axis, start, size)
        cosine = (fixed * window).sum(dim=1)  # (B, Y', X')
        # Squared, so that a bright edge on T1 may be a dark one on T2.
        found.append(cosine.square().mean())
    return torch.stack(found)


def edge_directions(images: torch.Tensor) -> torch.Tensor:
    """Normalised gradient of the smoothed images (B, 1, Y, X) along rows and columns, (B, 2, Y - 2, X - 2).

    Its length is near 1 where the edge is stronger than the average of the image, and near 0 where there is none.
    """
    kernel = torch.tensor(SMOOTHING, dtype=torch.float32, device=images.device)
    # The filter is a product of one along rows and one along columns.
    along_rows = kernel.view(1, 1, -1, 1)
    along_columns = kernel.view(1, 1, 1, -1)
    padded = pad(images.float(), (2, 2, 2, 2), mode="reflect")  # (B, 1, Y + 4, X + 4)
    smooth = conv2d(padded, along_rows)
    smooth = conv2d(smooth, along_columns)  # (B, 1, Y, X)

    down, right = torch.gradient(smooth, dim=(ROWS, COLUMNS))
    gradient = torch.cat([down, right], dim=1)
    # At the border there is a neighbour on one side alone.
    gradient = gradient[..., 1:-1, 1:-1]  # (B, 2, Y - 2, X - 2)

    squared = gradient.square().sum(dim=1, keepdim=True)
    # The mean keeps noise in flat regions from counting as an edge.
    average = squared.mean(dim=(1, 2, 3), keepdim=True)
    length = (squared + average).sqrt()
    # An image without any edge has no direction, and 0 / 0 is no number.
    return gradient / length.clamp_min(5e-9)


def _peak(values: torch.Tensor) -> float:
    """Displacement at which `values` (2 x `REACH` + 1,) are greatest, by a parabola through the three around it."""
    best = int(values.argmax())
    whole = best - REACH
    # Beyond the largest displacement nothing is known, so there is no parabola.
    if abs(whole) == REACH:
        return float(whole)

    before, top, after = values[best - 1 : best + 2].tolist()
    curvature = before - 2 * top + after
    # Images without any edge agree equally everywhere.
    if curvature == 0:
        return float(whole)
    return whole + 0.5 * (before - after) / curvature


@dataclass
class Alignment:
    """How many rows farther down target parts are sampled than source parts, learnt from what the generators shift.

    Columns need none: mirrored slices have the anatomy as far left as right.
    """

    iterations: int
    """Of the whole training; 0 only measures."""
    rows: float = 0.0
    """Rows by which the parts are sampled apart."""
    shift: float = 0.0
    """Last measured, of T1 -> T2 and, with the other sign, of T2 -> T1; in rows."""

    def look(
        self,
        there: tuple[torch.Tensor, torch.Tensor],
        back: tuple[torch.Tensor, torch.Tensor],
        over_processes: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """Measure the shift.

        Args:
            there: Source slices and their translations, each (B, 1, Y, X).
            back: Target slices and their translations, likewise.
            over_processes: Gives the mean of a tensor over all processes that train together.
        """
        found = agreement(*there, ROWS)
        # The way back shifts by as much with the other sign.
        found = found + agreement(*back, ROWS).flip(0)
        if over_processes:
            found = over_processes(found)
        self.shift = _peak(found)

    def correct(self, interval: int) -> None:
        """Sample farther apart by the share of the shift that is due after `interval` iterations.

        Not where the edges agree best at the largest displacement, as they may by chance before the generators have
        learnt any anatomy.
        """
        if self.iterations == 0 or abs(self.shift) >= REACH:
            return
        share = CORRECTIONS * interval / self.iterations
        self.rows += share * self.shift

    def state_dict(self) -> dict[str, float]:
        """What a resumable state must hold."""
        return {"rows": self.rows, "shift": self.shift}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from `state`."""
        self.rows = state["rows"]
        self.shift = state["shift"]
