"""Where nnU-Net looks: near the ears first, and closely where its first fold has found something.

A large network takes seconds for each patch on a CPU, and folds and mirrored images multiply them. The middle of a
region around the ears is known, so what lies far from it is taken for background. Where the first fold finds nothing
likely, the others are not asked; where it finds nothing at all, they are asked everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from vestibule.boxes import Box, bounding_box

NEAR_YX_MM = (80.0, 104.0)
"""Length and width of the part around the ears that is looked at. On all heads that were measured, structures end at
least 14 mm before its borders; see docs/explanation/method.md."""
LIKELY = 0.1
"""Probability of any structure from which a voxel counts as found."""
MARGIN = 1 / 8
"""Share of a patch by which what was found is widened: a standard deviation of the weights in nnU-Net's patches."""
SURE = 20.0
"""Logit of the background where nothing is looked at; each other class has 0."""


@dataclass(frozen=True)
class Focus:
    """That a segmenter looks closely only where something is found."""

    region_yx: tuple[int, int] | None
    """Rows and columns of images whose middle lies between the ears; None: where they lie is not known."""

    def near(self, shape_zyx: Sequence[int], spacing_zyx: Sequence[float]) -> tuple[float, float, float]:
        """Share of an image along z, y and x that is looked at, around its middle.

        Args:
            shape_zyx: Voxels of the image.
            spacing_zyx: Their spacing in mm.

        Returns:
            1 along all axes where the image is no region around the ears.
        """
        _, rows, columns = shape_zyx
        if (rows, columns) != self.region_yx:
            return 1.0, 1.0, 1.0
        _, spacing_y, spacing_x = spacing_zyx
        length_mm, width_mm = NEAR_YX_MM
        share_y = length_mm / (rows * spacing_y)
        share_x = width_mm / (columns * spacing_x)
        return 1.0, min(1.0, share_y), min(1.0, share_x)


class FocusedPredictor(nnUNetPredictor):
    """nnU-Net's sliding window over the part that is near, then over the part in which something was found."""

    use_mirroring: bool
    near_zyx: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Share of the next image along its axes that is looked at, around its middle."""

    @torch.inference_mode()
    def predict_logits_from_preprocessed_data(self, data: torch.Tensor) -> torch.Tensor:
        """Logits of all folds, averaged; of the first one alone, unmirrored, where it finds nothing likely.

        Args:
            data: The image (1, Z, Y, X), normalised and with the plan's spacing.

        Returns:
            float16 (C, Z, Y, X) on the CPU.
        """
        shape = data.shape[1:]
        near = self._middle(shape)
        logits = self._first_look(data[(slice(None), *near)])
        found = _found(logits)
        if found is not None and _is_cut(found, near, shape):
            near = _all_of(shape)
            logits = self._first_look(data)
            found = _found(logits)

        # The first fold's logits are there already, but for mirrored images.
        remaining = self.list_of_parameters if self.use_mirroring else self.list_of_parameters[1:]
        if remaining:
            inside = (slice(None), *self._around(found, logits.shape[1:]))
            part = data[(slice(None), *near)][inside]
            total = torch.zeros_like(logits[inside]) if self.use_mirroring else logits[inside]
            for fold in remaining:
                total = total + self._slide(part, fold)
            logits[inside] = total / len(self.list_of_parameters)

        whole = torch.zeros((len(logits), *shape), dtype=logits.dtype)
        whole[0] = SURE
        whole[(slice(None), *near)] = logits
        return whole

    def _first_look(self, data: torch.Tensor) -> torch.Tensor:
        """Logits (C, Z, Y, X) of the first fold for the image as it lies."""
        mirrored = self.use_mirroring
        self.use_mirroring = False
        try:
            return self._slide(data, self.list_of_parameters[0])
        finally:
            self.use_mirroring = mirrored

    def _slide(self, data: torch.Tensor, fold: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (C, Z, Y, X) of a fold by the sliding window, on the CPU."""
        self.network.load_state_dict(fold)
        return self.predict_sliding_window_return_logits(data).to("cpu")

    def _middle(self, shape: Sequence[int]) -> Box:
        """The part of an image of this shape that is near."""
        parts = []
        for axis, size in enumerate(shape):
            # nnU-Net may have put the axes into another order.
            share = self.near_zyx[self.plans_manager.transpose_forward[axis]]
            length = round(share * size)
            start = (size - length) // 2
            parts.append(slice(start, start + length))
        return self._of_patches(parts, shape)

    def _around(self, found: Box | None, shape: Sequence[int]) -> Box:
        """What was found, with a margin; all of an image of this shape where nothing was."""
        if found is None:
            return _all_of(shape)
        parts = []
        for part, side in zip(found, self._sides(), strict=True):
            margin = round(MARGIN * side)
            parts.append(slice(part.start - margin, part.stop + margin))
        return self._of_patches(parts, shape)

    def _of_patches(self, parts: Sequence[slice], shape: Sequence[int]) -> Box:
        """`parts` of the axes, none shorter than a patch, moved and cut so that they lie in an image of this shape."""
        result = []
        for part, side, size in zip(parts, self._sides(), shape, strict=True):
            length = min(size, max(side, part.stop - part.start))
            start = (part.start + part.stop - length) // 2
            start = min(max(0, start), size - length)
            result.append(slice(start, start + length))
        z, y, x = result
        return z, y, x

    def _sides(self) -> list[int]:
        """Sides of a patch along z, y and x; one of a 2-D network has one slice."""
        patch = list(self.configuration_manager.patch_size)
        return [1] * (3 - len(patch)) + patch


def _found(logits: torch.Tensor) -> Box | None:
    """The part of `logits` (C, Z, Y, X) in which a structure is likely; None where none is."""
    background = torch.softmax(logits.float(), 0)[0]
    is_likely = background < 1 - LIKELY
    return bounding_box(is_likely.numpy())


def _is_cut(found: Box, near: Box, shape: Sequence[int]) -> bool:
    """Whether what was found reaches a border of the part that is near, beyond which an image of this shape goes on."""
    for part, seen, size in zip(found, near, shape, strict=True):
        length = seen.stop - seen.start
        cut_before = part.start == 0 and seen.start > 0
        cut_behind = part.stop == length and seen.stop < size
        if cut_before or cut_behind:
            return True
    return False


def _all_of(shape: Sequence[int]) -> Box:
    z, y, x = (slice(0, size) for size in shape)
    return z, y, x
