"""`vestibule.head` and `vestibule.region` in tensors: the outline of the head, and the ears within it."""

import math

import torch
from torch import Tensor, nn

from vestibule.exchange.scripted.axes import Percentile, Smoothing
from vestibule.exchange.scripted.parts import Parts
from vestibule.geometry import SPACING_DECIMALS
from vestibule.head import COARSE_MM
from vestibule.region import (
    BACK_TO_EARS_MM,
    CHORD_MM,
    CUT_CHORD,
    HEAD_WIDTH_MM,
    LARGE_SLICE,
    LENGTH_TO_WIDTH,
    TOLERANCE_MM,
    TOLERANCE_OF_CHORD,
)


class Settled(nn.Module):
    """`vestibule.geometry.settled`: a spacing without its last digits."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = float(10**SPACING_DECIMALS)

    def forward(self, spacing: Tensor) -> Tensor:
        """`spacing` in mm, float64 (3,), as NIfTI stores its decimals."""
        decimals = torch.round(spacing * self.scale) / self.scale
        return decimals.float().double()


class Head(nn.Module):
    """`vestibule.head.head_outline` with blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse_mm = COARSE_MM
        self.settled = Settled()
        self.percentile = Percentile()
        self.smoothing = Smoothing()
        self.parts = Parts()

    def forward(self, voxels: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
        """The head on coarse voxels.

        Args:
            voxels: float32 (Z, Y, X).
            spacing: In mm, float64 (z, y, x).

        Returns:
            Bool (Z, Y, X) on the coarse voxels, and how many voxels one of them stands for along each axis.
        """
        spacing_mm = self.settled(spacing)
        steps = torch.round(self.coarse_mm / spacing_mm)
        steps = steps.clamp(min=1.0)

        coarse = voxels
        for axis in range(3):
            # No block may be larger than the image, or there would be none.
            size = float(voxels.size(axis))
            steps[axis] = steps[axis].clamp(max=size)
            step = int(steps[axis])
            coarse = self.block_means(coarse, axis, step)
        coarse = coarse - self.percentile(coarse, 1.0)

        coarse_mm = spacing_mm * steps
        for axis in range(3):
            # Half a coarse voxel, and less along an axis whose voxels are larger anyway.
            voxel_mm = float(coarse_mm[axis])
            sigma = min(0.5, self.coarse_mm / 2 / voxel_mm)
            matrix = self.smoothing(coarse.size(axis), sigma, coarse)
            along = coarse.double().movedim(axis, -1)
            smoothed = along @ matrix.T
            coarse = smoothed.movedim(-1, axis).float()

        # Below it lies air with its noise.
        mean = float(coarse.double().mean())
        tissue = coarse > 0.5 * mean
        return self.parts.largest(tissue), steps

    def block_means(self, voxels: Tensor, axis: int, step: int) -> Tensor:
        """Means over `step` voxels along an axis; an incomplete block at the end is left out."""
        blocks = voxels.size(axis) // step
        stop = blocks * step
        whole = voxels.narrow(axis, 0, stop)
        windows = whole.unfold(axis, step, step)
        total = windows.select(-1, 0)
        for offset in range(1, step):
            total = total + windows.select(-1, offset)
        return total / step


class Ears(nn.Module):
    """`vestibule.region.find_ears`."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()
        self.back_to_ears_mm = BACK_TO_EARS_MM
        self.chord_mm = CHORD_MM - TOLERANCE_MM
        self.narrowest_mm = HEAD_WIDTH_MM[0] - TOLERANCE_MM
        self.widest_mm = HEAD_WIDTH_MM[1] + TOLERANCE_MM
        self.length_to_width = LENGTH_TO_WIDTH
        self.cut_chord = CUT_CHORD + TOLERANCE_OF_CHORD
        self.large_slice = LARGE_SLICE

    def forward(self, voxels: Tensor, spacing: Tensor) -> list[float]:
        """The middle between the ears.

        Args:
            voxels: float32 (Z, Y, X) with axes LPS.
            spacing: In mm, float64 (z, y, x).

        Returns:
            Row and column in voxels; nothing where no outline of a head is seen, or its back is cut off.
        """
        missing: list[float] = []
        outline, steps = self.head(voxels, spacing)
        step_y = float(spacing[1] * steps[1])
        step_x = float(spacing[2] * steps[2])

        # Slices that show enough of the head.
        areas = outline.sum(dim=[1, 2])
        least = self.large_slice * float(areas.max())
        is_large = areas >= least
        is_large = is_large & (areas > 0)
        slices = outline[is_large]  # (S, Y, X)
        if len(slices) == 0:
            return missing

        # Where the head begins and ends in each of their rows.
        beyond = slices.size(2)
        columns = torch.arange(beyond, device=slices.device)
        first = torch.where(slices, columns, beyond).amin(dim=2)  # (S, Y)
        stop = torch.where(slices, columns + 1, 0).amax(dim=2)
        present = stop > 0
        width = torch.where(present, stop - first, 0)

        widest = width.amax(dim=1).double()
        upper = float(torch.quantile(widest, 0.75))
        width_mm = upper * step_x
        if width_mm < self.narrowest_mm or width_mm > self.widest_mm:
            return missing

        backs: list[float] = []
        for number in range(len(slices)):
            back_mm = self.back_mm(width[number], step_y, step_x)
            if back_mm >= 0:
                backs.append(back_mm)
        if 2 * len(backs) < len(slices):
            return missing

        all_backs = torch.tensor(backs, dtype=torch.float64)
        head_back_mm = float(torch.quantile(all_backs, 0.75))
        y_mm = head_back_mm - self.back_to_ears_mm
        middle = self.midline(first[present], stop[present], beyond)
        x_mm = middle * step_x
        spacing_y = float(spacing[1])
        spacing_x = float(spacing[2])
        length_mm = voxels.size(1) * spacing_y
        if y_mm <= 0 or y_mm >= length_mm:
            return missing
        # From millimetres behind the image's edge to indices, which count from the first voxel's middle.
        row = y_mm / spacing_y - 0.5
        column = x_mm / spacing_x - 0.5
        return [row, column]

    def back_mm(self, width: Tensor, step_y: float, step_x: float) -> float:
        """How far behind the image's front edge the head ends, in mm, by its `width` in each row; -1 where unknown."""
        width_mm = width.double() * step_x
        is_wide = width_mm >= self.chord_mm
        wide = torch.nonzero(is_wide)
        if len(wide) == 0:
            return -1.0
        last = int(wide[-1])
        back_mm = (last + 1) * step_y
        if last < len(width) - 1:
            return back_mm

        # The image ends within the head: the last row is a chord of an ellipse, whose rest is what is missing.
        widest_mm = float(width_mm.max())
        chord = float(width_mm[last]) / widest_mm
        if chord > self.cut_chord:
            return -1.0
        half_length_mm = self.length_to_width * widest_mm / 2
        # Rounding may make a chord of 1 a little longer.
        square = max(1 - chord**2, 0.0)
        seen = math.sqrt(square)
        return back_mm + half_length_mm * (1 - seen)

    def midline(self, first: Tensor, stop: Tensor, size: int) -> float:
        """Median over rows of the middle between the head's two sides, in coarse voxels from the image's edge."""
        at_near_edge = first == 0
        at_far_edge = stop == size
        whole = at_near_edge == at_far_edge
        if not bool(whole.any()):
            whole = torch.ones_like(whole)
        twice_middle = first[whole] + stop[whole]
        median = torch.quantile(twice_middle.double(), 0.5)
        return float(median) / 2
