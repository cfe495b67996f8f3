"""`vestibule.pipeline.Model.run` in tensors: a T2 image with axes LPS in, its mask on the same grid out."""

import math
import warnings

import torch
from torch import Tensor, nn

from vestibule.components import ComponentRule
from vestibule.editions import Edition
from vestibule.exchange.scripted.axes import Interpolation, Percentile, counted
from vestibule.exchange.scripted.ears import Ears
from vestibule.exchange.scripted.parts import KeptParts
from vestibule.exchange.scripted.segmenter import ScriptedSegmenter
from vestibule.geometry import STEADY_DECIMALS, STEADY_WITHIN_MM
from vestibule.preprocessing import LARGER, SAME_SPACING, PreprocessingConfig
from vestibule.resampling import COARSER_FROM

BATCH = 8
"""Slices that go through the translator together, as in `vestibule.translation`."""


class Region(nn.Module):
    """`vestibule.preprocessing.working_geometry`: where the working grid lies, in voxels of the image."""

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.ears = Ears()
        self.percentile = Percentile()
        self.by_head = config.centre == "head"
        self.roi_percentile = config.roi_percentile
        self.size = list(config.size_yx)
        self.step_mm = list(config.spacing_yx_mm)
        self.larger = LARGER
        self.same_spacing = SAME_SPACING

    def forward(self, voxels: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of the working grid in voxels of the image, float64 (N,) each."""
        size = self.size
        middle = self.ears(voxels, spacing) if self.by_head else self.bright_centre(voxels)
        if len(middle) == 0:
            warnings.warn("no outline of a head seen: a larger region around the image's middle is taken", stacklevel=2)
            middle_y = (voxels.size(1) - 1) / 2
            middle_x = (voxels.size(2) - 1) / 2
            middle = [middle_y, middle_x]
            size = [self.larger * side for side in size]

        # How many of the image's voxels one of the grid's is.
        ratio_y = self.step_mm[0] / float(spacing[1])
        ratio_x = self.step_mm[1] / float(spacing[2])
        rows = self.places(middle[0], size[0], ratio_y, voxels)
        columns = self.places(middle[1], size[1], ratio_x, voxels)
        return rows, columns

    def places(self, middle: float, size: int, ratio: float, like: Tensor) -> Tensor:
        """`size` places around `middle`, `ratio` voxels apart."""
        steps = counted(size, like)
        half = (size - 1) / 2 * ratio
        first = middle - half
        if size * abs(ratio - 1) < self.same_spacing:
            first = float(round(first))
        return first + steps * ratio

    def bright_centre(self, voxels: Tensor) -> list[float]:
        """`vestibule.preprocessing.bright_centre`."""
        threshold = self.percentile(voxels, self.roi_percentile)
        bright = voxels > threshold
        per_yx = bright.sum(dim=0).double()  # (Y, X)
        # Where nothing is brighter, all counts alike.
        if not bool(bright.any()):
            per_yx = torch.ones_like(per_yx)

        total = per_yx.sum()
        per_y = per_yx.sum(dim=1) / total
        per_x = per_yx.sum(dim=0) / total
        mean_y = per_y @ counted(len(per_y), voxels)
        mean_x = per_x @ counted(len(per_x), voxels)
        return [float(mean_y), float(mean_x)]


class ToWorking(nn.Module):
    """`vestibule.preprocessing.to_working` and `labels_to_original`, given the region."""

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.interpolation = Interpolation()
        self.percentile = Percentile()
        self.step_mm = list(config.spacing_yx_mm)
        self.percentiles = list(config.percentiles_of_target)
        self.coarser_from = COARSER_FROM
        self.half_width = math.sqrt(2 * math.log(2))  # of a Gaussian at half its height, in standard deviations

    def forward(self, voxels: Tensor, rows: Tensor, columns: Tensor, spacing: Tensor) -> Tensor:
        """The working volume float32 (Z, Y, X) in [-1, 1] at `rows` and `columns`, in voxels of the image."""
        step_y = float(spacing[1])
        step_x = float(spacing[2])
        sigma_y = self.sigma(self.step_mm[0], step_y)
        sigma_x = self.sigma(self.step_mm[1], step_x)
        of_y = self.interpolation(rows, voxels.size(1), sigma_y)
        of_x = self.interpolation(columns, voxels.size(2), sigma_x)
        darkest = float(voxels.min())
        working = self.resampled(voxels, of_y, of_x, darkest)

        low = self.percentile(working, self.percentiles[0])
        high = self.percentile(working, self.percentiles[1])
        if not high > low:
            raise ValueError("the region of interest holds a single intensity; expected an image of a head")
        factor = 2.0 / (high - low)
        scaled = (working - low) * factor - 1
        return scaled.clamp(-1.0, 1.0)

    def sigma(self, wanted: float, step: float) -> float:
        """Standard deviation in voxels of the smoothing that larger voxels stand for."""
        if wanted <= self.coarser_from * step:
            return 0.0
        lost = math.sqrt(wanted**2 - step**2)
        sigma_mm = 0.5 * lost / self.half_width
        return sigma_mm / step

    def resampled(self, voxels: Tensor, of_y: Tensor, of_x: Tensor, outside: float) -> Tensor:
        """Voxels (Z, Y, X) weighted along y and x; what no voxel adds to is `outside`."""
        along_y = of_y @ voxels
        planes = along_y @ of_x.T
        # A row of weights is 0 or adds up to 1.
        seen_y = of_y.sum(dim=1) > 0
        seen_x = of_x.sum(dim=1) > 0
        seen = seen_y.unsqueeze(1) & seen_x
        return torch.where(seen, planes, outside)

    @torch.jit.export
    def labels(self, shares: Tensor, rows: Tensor, columns: Tensor, size_y: int, size_x: int) -> Tensor:
        """The likeliest class uint8 (Z, Y, X) on the image's own voxels; outside the region all is background.

        Args:
            shares: Of each class (C, Z, Y, X) on the working grid.
            rows: Where its rows lie in the image.
            columns: Where its columns lie.
            size_y: Rows of the image.
            size_x: Columns of the image.

        Returns:
            The labels.
        """
        of_y = self.back(rows, size_y)
        of_x = self.back(columns, size_x)
        best = self.resampled(shares[0], of_y, of_x, 1.0)
        labels = torch.zeros_like(best, dtype=torch.uint8)
        for value in range(1, len(shares)):
            probability = self.resampled(shares[value], of_y, of_x, 0.0)
            # As on the way here, a label is kept where it fills half.
            wins = probability >= best
            wins = wins & (probability > 0)
            labels[wins] = value
            best = torch.maximum(best, probability)
        return labels

    def back(self, places: Tensor, size: int) -> Tensor:
        """Weights (`size`, N) of an axis of the working grid for each voxel of the image."""
        voxels = counted(size, places)
        ratio = places[1] - places[0]
        positions = (voxels - places[0]) / ratio
        return self.interpolation(positions, len(places), 0.0)


class ScriptedPrediction(nn.Module):
    """The whole of it. `torch.jit.script` makes a program of it that needs PyTorch alone."""

    def __init__(
        self,
        config: PreprocessingConfig,
        translator: nn.Module | None,
        segmenter: ScriptedSegmenter,
        components: dict[str, ComponentRule],
        edition: Edition,
    ) -> None:
        super().__init__()
        self.region = Region(config)
        self.working = ToWorking(config)
        # TorchScript has no module that is missing.
        self.translator = nn.Identity() if translator is None else translator
        self.segmenter = segmenter
        rules = [KeptParts(structure, rule, edition) for structure, rule in components.items()]
        self.rules = nn.ModuleList(rules)
        self.batch = BATCH
        self.steady_scale = float(10**STEADY_DECIMALS)
        self.steady_within = STEADY_WITHIN_MM
        self.step_mm = list(config.spacing_yx_mm)

    def forward(self, image: Tensor, spacing: Tensor | None = None) -> Tensor:
        """The masks of T2 images.

        Args:
            image: (B, 1, X, Y, Z), axes towards the patient's left, back and head.
            spacing: Of each in mm (B, 3), along x, y and z; without it, that of the working grid.

        Returns:
            Labels uint8 (B, 1, X, Y, Z) on the same grid.

        Raises:
            ValueError: The region around the ears holds a single intensity.
        """
        masks: list[Tensor] = []
        for number in range(len(image)):
            # The image's axes are x, y, z, and everything here has z, y, x.
            turned = image[number, 0].permute(2, 1, 0)
            voxels = turned.float().contiguous()
            step_y = self.step_mm[0]
            step_x = self.step_mm[1]
            steps = torch.tensor([step_y, step_y, step_x], dtype=torch.float64, device=image.device)
            if spacing is not None:
                own = spacing.reshape(-1, 3)[number]
                steps = own.flip(0).to(steps)
            mask = self.mask(voxels, self.steady(steps))
            turned_back = mask.permute(2, 1, 0)
            masks.append(turned_back.unsqueeze(0))
        return torch.stack(masks)

    def mask(self, voxels: Tensor, spacing: Tensor) -> Tensor:
        """Labels uint8 (Z, Y, X) of a volume float32 (Z, Y, X) with voxels of `spacing` mm, float64 (z, y, x)."""
        rows, columns = self.region(voxels, spacing)
        unit = self.working(voxels, rows, columns, spacing)
        t1_unit = self.synthetic_t1(unit)
        on_grid = spacing.clone()
        on_grid[1] = self.step_mm[0]
        on_grid[2] = self.step_mm[1]
        shares = self.segmenter(t1_unit, on_grid)
        labels = self.working.labels(shares, rows, columns, voxels.size(1), voxels.size(2))
        voxel_mm3 = float(spacing.prod())
        for rule in self.rules:
            labels = rule(labels, voxel_mm3)
        return labels

    def synthetic_t1(self, unit: Tensor) -> Tensor:
        """T1 of a T2 volume on the working grid, both float32 (Z, Y, X) in [-1, 1]."""
        translated: list[Tensor] = []
        for slices in unit.split(self.batch):
            batch = slices.unsqueeze(1)  # (B, 1, Y, X)
            result = self.translator(batch)
            translated.append(result[:, 0])
        return torch.cat(translated)

    def steady(self, spacing: Tensor) -> Tensor:
        """`vestibule.geometry.Geometry.steady`, for the spacing float64 (3,)."""
        decimals = torch.round(spacing * self.steady_scale) / self.steady_scale
        apart = spacing - decimals
        near = apart.abs() <= self.steady_within
        # As NIfTI stores it.
        stored = decimals.float().double()
        return torch.where(near, stored, spacing)
