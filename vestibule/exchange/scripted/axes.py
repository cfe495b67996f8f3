"""What is done along one axis of a volume, as a matrix for each: interpolation, smoothing, nnU-Net's resampling."""

import math

import torch
from torch import Tensor, nn

from vestibule.interpolation import EDGE, REACH


def counted(count: int, like: Tensor) -> Tensor:
    """0, 1, ... up to `count`, float64 on the device of `like`."""
    return torch.arange(count, dtype=torch.float64, device=like.device)


class Interpolation(nn.Module):
    """`vestibule.interpolation.axis_weights`: linear interpolation, after a smoothing."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = EDGE
        self.deviations = float(REACH)

    def forward(self, positions: Tensor, size: int, sigma: float) -> Tensor:
        """What each voxel of an axis adds at positions along it.

        Args:
            positions: Where values are wanted, in voxels, float64 (N,).
            size: Voxels of the axis.
            sigma: Standard deviation in voxels of the smoothing; 0 for none.

        Returns:
            Weights float32 (N, `size`); rows are 0 where a position lies outside of the image.
        """
        # The voxel before each position, and the next one's share.
        last = float(size - 1)
        place = positions.clamp(0.0, last)
        last_but_one = max(last - 1, 0.0)
        first = place.floor()
        first = first.clamp(max=last_but_one)
        share = place - first
        share = share.unsqueeze(1)  # (N, 1)
        first = first.unsqueeze(1)

        reach = math.ceil(self.deviations * sigma)
        steps = counted(2 * reach + 1, positions) - reach
        gaussian = torch.ones_like(steps)
        if sigma > 0:
            apart = steps / sigma
            gaussian = torch.exp(-0.5 * apart**2)
            gaussian = gaussian / gaussian.sum()

        # Each of the two voxels is a mean over its surroundings; beyond the edge, the last voxel goes on.
        around_first = first + steps
        around_second = around_first + 1
        columns = torch.cat([around_first, around_second], dim=1)
        columns = columns.clamp(0.0, last).long()
        of_first = gaussian * (1 - share)
        of_second = gaussian * share
        entries = torch.cat([of_first, of_second], dim=1)
        weights = positions.new_zeros([len(positions), size])
        weights = weights.scatter_add(1, columns, entries)

        # A row outside of the image has none.
        inside = positions >= -self.edge
        inside = inside & (positions <= last + self.edge)
        weights = weights * inside.unsqueeze(1)
        return weights.float()


class Smoothing(nn.Module):
    """`scipy.ndimage.gaussian_filter` along an axis, reflected at its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.deviations = 4.0  # SciPy's `truncate`

    def forward(self, size: int, sigma: float, like: Tensor) -> Tensor:
        """A matrix float64 (`size`, `size`), for a standard deviation of `sigma` voxels, on the device of `like`."""
        radius = int(self.deviations * sigma + 0.5)
        steps = counted(2 * radius + 1, like) - radius
        apart = steps / sigma
        gaussian = torch.exp(-0.5 * apart**2)
        gaussian = gaussian / gaussian.sum()

        # Forwards through the axis, then backwards, and so on.
        rows = counted(size, like).unsqueeze(1)
        period = 2 * size
        places = torch.remainder(rows + steps, period)
        mirrored = period - 1 - places
        columns = torch.minimum(places, mirrored).long()

        entries = gaussian.expand(size, len(steps))
        matrix = steps.new_zeros([size, size])
        return matrix.scatter_add(1, columns, entries)


class Resizing(nn.Module):
    """`skimage.transform.resize` along an axis as nnU-Net calls it: mode `edge`, no anti-aliasing."""

    def __init__(self) -> None:
        super().__init__()
        self.padding = 12  # SciPy's, before a spline is fitted

    def forward(self, size: int, wanted: int, order: int, like: Tensor) -> Tensor:
        """A matrix float64 (`wanted`, `size`) that interpolates by splines of `order` 0, 1 or 3."""
        # Where the new voxels' middles lie among the old ones.
        index = counted(wanted, like)
        ratio = size / wanted
        places = (index + 0.5) * ratio - 0.5
        if order == 3:
            return self.cubic(places, size)

        last = float(size - 1)
        within = places.clamp(0.0, last)
        if order == 0:
            within = torch.floor(within + 0.5)
        columns = counted(size, like)
        apart = within.unsqueeze(1) - columns
        apart = apart.abs()
        return (1 - apart).clamp(min=0.0)

    def cubic(self, places: Tensor, size: int) -> Tensor:
        """The matrix of cubic B-splines at `places`; the axis goes on with its last voxel, as SciPy has it."""
        long = size + 2 * self.padding
        index = counted(long, places)
        voxel = index - self.padding
        voxel = voxel.clamp(0.0, float(size - 1)).long()
        padding = nn.functional.one_hot(voxel, size)  # (long, size)
        padding = padding.double()

        # A voxel is 1/6, 4/6, 1/6 of the three coefficients around it.
        apart = index.unsqueeze(1) - index
        apart = apart.abs()
        middle = apart == 0
        beside = apart == 1
        system = (4 * middle + 1 * beside) / 6
        coefficients = torch.linalg.solve(system.double(), padding)

        # The spline's two pieces, each of a side.
        shifted = places + self.padding
        distance = shifted.unsqueeze(1) - index
        distance = distance.abs()
        near = 2 / 3 - distance**2 + distance**3 / 2
        beyond = (2 - distance).clamp(min=0.0)
        far = beyond**3 / 6
        spline = torch.where(distance < 1, near, far)
        return spline @ coefficients


class Percentile(nn.Module):
    """`numpy.percentile` with linear interpolation."""

    def forward(self, values: Tensor, share: float) -> float:
        """The percentile `share`, 0 to 100, of `values` of any shape."""
        flat = values.reshape(-1)
        ordered, _ = flat.sort()
        last = len(ordered) - 1

        place = share / 100 * last
        below = math.floor(place)
        above = min(below + 1, last)
        low = float(ordered[below])
        high = float(ordered[above])
        part = place - below
        return low + (high - low) * part
