"""Whether an image and its translation show the anatomy in one place, and what keeps a CycleGAN from shifting it.

Where heads lie otherwise in the region in one domain than in the other, the discriminators see it, and the generators
learn the difference as a shift: one way there, the other way back, so that the cycle closes all the same. The shift
shows without labels, as the way between the edges of an image and of its translation. So the remedy is to draw the
parts of slices so far apart that there is nothing left to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import conv2d, pad

from training.gan.distributed import mean_over_processes

REACH = 3
"""Ways of up to so many voxels are told."""
CORRECTIONS = 8
"""How many times over a shift that did not change would be corrected in a whole training."""
SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def shift_between(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Rows and columns by which the anatomy of `first` lies farther down and right in `second`, both (B, 1, Y, X).

    Between -`REACH` and `REACH`, by the agreement of edges, which needs no common contrast. Raises ValueError where
    the images are too small to be moved so far.
    """
    return tuple(_peak(agreement(first, second, axis)) for axis in (-2, -1))


@torch.no_grad()
def agreement(first: torch.Tensor, second: torch.Tensor, axis: int) -> torch.Tensor:
    """How well the edges of two images (B, 1, Y, X) agree, (2 x `REACH` + 1,), for each way along `axis` in voxels.

    The normalised gradient field of Haber and Modersitzki 2006: 1 where all edges are parallel, whatever their sign and
    height. Raises ValueError where the images are too small to be moved so far.
    """
    rows, columns = (n - 2 - 2 * REACH for n in first.shape[-2:])
    if min(rows, columns) < 1:
        raise ValueError(f"images must have more than {2 + 2 * REACH} rows and columns, got {tuple(first.shape[-2:])}")
    (first_y, first_x), (second_y, second_x) = _edges(first), _edges(second)
    middle = (..., slice(REACH, REACH + rows), slice(REACH, REACH + columns))
    found = []
    for way in range(-REACH, REACH + 1):
        down, right = (way, 0) if axis == -2 else (0, way)
        moved = (..., slice(REACH + down, REACH + down + rows), slice(REACH + right, REACH + right + columns))
        parallel = first_y[middle] * second_y[moved] + first_x[middle] * second_x[moved]
        found.append(parallel.square().mean())
    return torch.stack(found)


def _edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Direction of the smoothed gradient along rows and columns; its length nears 1 where it is above the average."""
    kernel = torch.tensor(SMOOTHING, dtype=torch.float32, device=images.device)
    padded = pad(images.float(), (2, 2, 2, 2), mode="reflect")
    smooth = conv2d(conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None])
    down = smooth[..., 2:, 1:-1] - smooth[..., :-2, 1:-1]
    right = smooth[..., 1:-1, 2:] - smooth[..., 1:-1, :-2]
    squared = down.square() + right.square()
    length = (squared + squared.mean(dim=(1, 2, 3), keepdim=True)).sqrt().clamp_min(1e-8)
    return down / length, right / length


def _peak(values: torch.Tensor) -> float:
    """Where `values`, one a way from -`REACH` to `REACH`, are greatest, by a parabola through the three around."""
    best = int(values.argmax())
    if best in (0, len(values) - 1):
        return float(best - REACH)
    before, top, after = values[best - 1 : best + 2].tolist()
    bend = before - 2 * top + after
    return best - REACH + (0.5 * (before - after) / bend if bend else 0.0)


@dataclass
class Alignment:
    """How many rows farther down target parts are to be drawn than source parts, learnt from what the generators shift.

    Columns need none: mirrored slices have the anatomy as far left as right.
    """

    iterations: int
    """Of the whole training; 0 only measures."""
    rows: float = 0.0
    shift: float = 0.0
    """Last measured, of T1 -> T2 and, with the other sign, of T2 -> T1."""

    def look(self, there: tuple[torch.Tensor, torch.Tensor], back: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Measure the shift in source slices with their translations, and in target slices with theirs."""
        self.shift = _peak(mean_over_processes(agreement(*there, -2) + agreement(*back, -2).flip(0)))

    def correct(self, interval: int) -> None:
        """Move by the share of the shift that is due after `interval` iterations.

        Not where the edges agree best at the farthest way tried, as they may by chance before the generators have
        learnt to draw any.
        """
        if self.iterations and abs(self.shift) < REACH:
            self.rows += CORRECTIONS * interval / self.iterations * self.shift

    def state_dict(self) -> dict[str, float]:
        """What a resumable state must hold."""
        return {"rows": self.rows, "shift": self.shift}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from `state`."""
        self.rows, self.shift = state["rows"], state["shift"]
