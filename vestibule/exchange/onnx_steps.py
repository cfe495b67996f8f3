"""What stands before and behind the networks, as modules that `torch.onnx.export` can trace: no size is fixed.

`vestibule.preprocessing` and `vestibule.interpolation` in tensors, given where the ears are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vestibule.errors import InputError
from vestibule.interpolation import EDGE, REACH
from vestibule.preprocessing import SAME_SPACING, PreprocessingConfig
from vestibule.resampling import COARSER_FROM

SCHEMES = ("ZScoreNormalization", "RescaleTo01Normalization")
"""Normalisations of the whole volume that a graph has."""
LONGEST_REACH = 128
"""Voxels that the smoothing reaches at most: enough for voxels of 0.03 mm that become 1.2 mm."""
HALF_WIDTH = math.sqrt(2 * math.log(2))
"""Of a Gaussian at half its height, in standard deviations."""


def _counted(count: Tensor) -> Tensor:
    """0, 1, ... as many as a graph finds that `count` is."""
    return torch.arange(count)  # type: ignore[call-overload]  # a tensor here stays one in the graph


def _last(count: int) -> Tensor:
    """The last index of an axis of `count` voxels, as a tensor whatever the size is when the graph runs."""
    return torch.arange(count)[-1]


def _percentile(values: Tensor, share: float) -> Tensor:
    """As `numpy.percentile`."""
    flat = values.reshape(-1)
    ordered, _ = flat.sort()
    last = _last(ordered.shape[0])

    place = last.double() * (share / 100)
    below = place.floor()
    part = place - below
    first = below.long()
    second = torch.minimum(first + 1, last)
    low = ordered[first].double()
    high = ordered[second].double()
    return low + (high - low) * part


class _Region(nn.Module):
    """Where the working grid lies in an image, along rows and columns."""

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.config = config

    def places(self, axis: int, spacing_yx: Tensor, middle_yx: Tensor) -> Tensor:
        """Places of the grid's rows (axis 0) or columns (1), in voxels of the image, float64."""
        size = self.config.size_yx[axis]
        # How many of the image's voxels one of the grid's is.
        wanted = self.config.spacing_yx_mm[axis]
        ratio = wanted / spacing_yx[axis]

        numbers = torch.arange(size, dtype=torch.float64)
        first = middle_yx[axis] - (size - 1) / 2 * ratio
        is_same = size * (ratio - 1).abs() < SAME_SPACING
        first = torch.where(is_same, first.round(), first)
        return first + numbers * ratio

    def sigma(self, axis: int, spacing_yx: Tensor) -> Tensor:
        """Standard deviation, in voxels of the image, of the smoothing that larger voxels stand for."""
        wanted = self.config.spacing_yx_mm[axis]
        step = spacing_yx[axis]
        square = wanted**2 - step**2
        lost = square.clamp(min=0.0).sqrt()
        sigma_mm = 0.5 * lost / HALF_WIDTH
        sigma = sigma_mm / step
        # Less is rounding.
        is_coarser = step * COARSER_FROM < wanted
        return sigma * is_coarser.double()


def _weights(places: Tensor, count: int) -> Tensor:
    """Linear interpolation at places along an axis of `count` voxels: float64 (N, `count`), 0 outside."""
    last = _last(count).double()
    within = torch.minimum(places.clamp(min=0.0), last)
    voxels = torch.arange(count).double()
    apart = within[:, None] - voxels
    tent = 1 - apart.abs()
    tent = tent.clamp(min=0.0)

    # A row outside of the image has none.
    is_behind = places >= -EDGE
    is_before = places <= last + EDGE
    inside = (is_behind & is_before).double()
    return tent * inside[:, None]


def _smoothing(count: int, sigma: Tensor) -> Tensor:
    """A Gaussian over an axis whose last voxels go on beyond its ends: float64 (`count`, `count`)."""
    steps = torch.arange(-LONGEST_REACH, LONGEST_REACH + 1)
    from_middle = steps.double()
    # Without smoothing, all but the middle is 0.
    apart = from_middle / sigma.clamp(min=1e-9)
    gaussian = torch.exp(-0.5 * apart**2)
    reach = (REACH * sigma).ceil()
    within = from_middle.abs() <= reach
    gaussian = gaussian * within.double()
    gaussian = gaussian / gaussian.sum()

    voxels = torch.arange(count)
    around = voxels[:, None] + steps
    columns = torch.minimum(around.clamp(min=0), _last(count))
    entries = gaussian.expand(columns.shape)
    matrix = torch.zeros([count, count], dtype=torch.float64)
    return matrix.scatter_add(1, columns, entries)


def _resampled(voxels: Tensor, of_y: Tensor, of_x: Tensor, outside: Tensor) -> Tensor:
    """Voxels (..., Y, X) weighted along both axes; what no voxel adds to is `outside`."""
    along_y = of_y.float() @ voxels
    planes = along_y @ of_x.float().T
    seen_y = of_y.sum(dim=1) > 0
    seen_x = of_x.sum(dim=1) > 0
    seen = seen_y[:, None] & seen_x
    return torch.where(seen, planes, outside)


def _starts(size: int, side: int, step: float) -> list[int]:
    """Where windows begin along an axis whose size is known."""
    free = int(size) - side
    count = math.ceil(free / (side * step)) + 1
    apart = free / max(count - 1, 1)
    return [round(number * apart) for number in range(count)]


class BeforeSegmenter(_Region):
    """A T2 image -> T1 as the segmenter takes it."""

    def __init__(
        self,
        config: PreprocessingConfig,
        translator: nn.Module | None,
        scheme: str,
        sides: Sequence[int],
        tile_step: float,
    ) -> None:
        """Prepare the steps.

        Args:
            config: The working grid.
            translator: T2 -> T1; None where the segmenter takes T2.
            scheme: nnU-Net's normalisation, one of `SCHEMES`.
            sides: Of a window, along z, y and x.
            tile_step: How far the window moves, as a share of its size.

        Raises:
            InputError: The scheme is another.
        """
        super().__init__(config)
        if scheme not in SCHEMES:
            known = " and ".join(SCHEMES)
            raise InputError(f"the plans normalise by {scheme}; an export to ONNX knows {known}")
        self.translator = translator
        self.scheme = scheme
        self.sides = tuple(sides)
        self.tile_step = tile_step

    def forward(self, t2: Tensor, spacing_yx: Tensor, middle_yx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the segmenter gets, and in which windows.

        Args:
            t2: float32 (Z, Y, X) with axes LPS.
            spacing_yx: Of its rows and columns in mm, float64 (2,).
            middle_yx: Row and column of the middle between the ears, float64 (2,).

        Returns:
            The working volume float32 (Z, Y, X), normalised, and filled up with 0 to the size of a window; the first
            voxel of each window int64 (N, 3); and the weights of a window's voxels, float32.
        """
        outside = t2.min()
        of_axes = []
        for axis in (0, 1):
            count = t2.shape[axis + 1]
            places = self.places(axis, spacing_yx, middle_yx)
            smoothing = _smoothing(count, self.sigma(axis, spacing_yx))
            of_axes.append(_weights(places, count) @ smoothing)
        working = _resampled(t2, of_axes[0], of_axes[1], outside)

        low_share, high_share = self.config.percentiles_of_target
        low = _percentile(working, low_share)
        high = _percentile(working, high_share)
        factor = 2.0 / (high - low)
        scaled = (working - low.float()) * factor.float()
        unit = (scaled - 1).clamp(-1.0, 1.0)

        if self.translator is not None:
            batch = unit[:, None]  # (Z, 1, Y, X)
            translated = self.translator(batch)
            unit = translated[:, 0]
        normal = self._normalised(unit)
        filled = self._filled(normal)
        return filled, self._corners(filled), self._window_weights()

    def _corners(self, filled: Tensor) -> Tensor:
        """Where windows begin, as nnU-Net lays them: all along z, then y, then x."""
        depth, rows, columns = self.sides
        last = _last(filled.shape[0])
        free = (last + 1 - depth).double()
        # A network of slices sees each slice once.
        step = depth * self.tile_step if depth > 1 else 1.0
        moves = (free / step).ceil()
        apart = free / moves.clamp(min=1.0)
        count = moves + 1
        numbers = _counted(count.long()).double()
        along_z = (numbers * apart).round().long()

        in_plane = []
        for y in _starts(filled.shape[1], rows, self.tile_step):
            for x in _starts(filled.shape[2], columns, self.tile_step):
                in_plane.append([y, x])
        along_yx = torch.tensor(in_plane)
        z = along_z[:, None, None].expand(-1, len(in_plane), 1)
        yx = along_yx.expand(along_z.shape[0], -1, -1)
        return torch.cat([z, yx], dim=2).reshape(-1, 3)

    def _window_weights(self) -> Tensor:
        """A Gaussian around the window's middle, its standard deviation an eighth of its sides."""
        weights = torch.ones([])
        for side in self.sides:
            from_middle = torch.arange(side) - side // 2
            apart = from_middle / (side / 8)
            gaussian = torch.exp(-0.5 * apart**2)
            weights = weights[..., None] * gaussian
        return weights

    def _normalised(self, unit: Tensor) -> Tensor:
        if self.scheme == SCHEMES[0]:
            centred = unit - unit.mean()
            deviation = (centred**2).mean().sqrt()
            return centred / deviation.clamp(min=1e-8)
        lifted = unit - unit.min()
        return lifted / lifted.max().clamp(min=1e-8)

    def _filled(self, volume: Tensor) -> Tensor:
        depth, rows, columns = self.sides
        beyond = []
        for side, size in zip((columns, rows), reversed(self.config.size_yx), strict=True):
            missing = max(side - size, 0)
            first = missing // 2
            beyond += [first, missing - first]
        # Rows and columns are always as many, and slices are not.
        wide = nn.functional.pad(volume, beyond)
        last = _last(volume.shape[0])
        lacking = (depth - 1 - last).clamp(min=0)
        index = _counted(last + 1 + lacking) - lacking // 2
        place = torch.minimum(index.clamp(min=0), last)
        inside = (index == place).float()
        return wide[place] * inside[:, None, None]


class BehindSegmenter(_Region):
    """Logits of the filled-up working volume -> labels on the image's own grid."""

    def __init__(self, config: PreprocessingConfig, sides: Sequence[int]) -> None:
        super().__init__(config)
        self.sides = tuple(sides)

    def forward(self, logits: Tensor, t2: Tensor, spacing_yx: Tensor, middle_yx: Tensor) -> Tensor:
        """The likeliest class uint8 (Z, Y, X) of each of the image's voxels.

        Args:
            logits: float32 (C, Z, Y, X), as large as the other graph's volume.
            t2: The image, for its size.
            spacing_yx: As for the other graph.
            middle_yx: Likewise.
        """
        # Without what was filled up.
        depth, *sides_yx = self.sides
        last = _last(t2.shape[0])
        first = (depth - 1 - last).clamp(min=0) // 2
        inner = logits[:, _counted(last + 1) + first]
        before = []
        for side, size in zip(sides_yx, self.config.size_yx, strict=True):
            before.append(max(side - size, 0) // 2)
        rows, columns = self.config.size_yx
        inner = inner[:, :, before[0] : before[0] + rows, before[1] : before[1] + columns]
        shares = torch.softmax(inner, dim=0)

        of_axes = []
        for axis in (0, 1):
            places = self.places(axis, spacing_yx, middle_yx)
            ratio = places[1] - places[0]
            voxels = torch.arange(t2.shape[axis + 1]).double()
            positions = (voxels - places[0]) / ratio
            of_axes.append(_weights(positions, self.config.size_yx[axis]))
        on_image = _resampled(shares, of_axes[0], of_axes[1], torch.zeros(1))
        # Outside of the region no class has a share, and the first one is background.
        return on_image.argmax(dim=0).to(torch.uint8)
