"""Connected parts of a mask, as `scipy.ndimage.label` has them: voxels that share a face belong together."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vestibule.components import ComponentRule
from vestibule.editions import Edition


class Parts(nn.Module):
    """Finds parts by spreading a number within each until nothing changes."""

    def forward(self, mask: Tensor) -> Tensor:
        """A number int64 (Z, Y, X) for each voxel's part, higher for parts that begin earlier; 0 outside the mask."""
        count = mask.numel()
        # Whole numbers up to 2^53 are exact in float64, which pooling takes.
        numbers = torch.arange(count, 0, -1, dtype=torch.float64, device=mask.device)
        numbers = numbers.reshape(mask.shape) * mask
        changed = True
        while changed:
            before = numbers
            for axis in range(3):
                kernel = [1, 1, 1]
                padding = [0, 0, 0]
                kernel[axis] = 3
                padding[axis] = 1
                beside = functional.max_pool3d(numbers[None, None], kernel, 1, padding)
                numbers = beside[0, 0] * mask
            changed = not torch.equal(numbers, before)
        return numbers.long()

    @torch.jit.export
    def largest(self, mask: Tensor) -> Tensor:
        """The largest part of a mask (Z, Y, X); of equal ones the first."""
        numbers = self.forward(mask)
        present = numbers[numbers > 0]
        if len(present) == 0:
            return mask
        voxels = torch.bincount(present)
        most = voxels.max()
        first = torch.nonzero(voxels == most).max()
        return numbers == first


class KeptParts(nn.Module):
    """`vestibule.components.keep_components` with the rule of one structure."""

    def __init__(self, structure: str, rule: ComponentRule, edition: Edition) -> None:
        super().__init__()
        self.parts = Parts()
        self.values = list(edition.structures[structure])
        self.most = 0 if rule.most is None else rule.most
        """So many of the largest parts stay; 0: any number."""
        self.min_mm3 = rule.min_mm3

    def forward(self, labels: Tensor, voxel_mm3: float) -> Tensor:
        """Labels (Z, Y, X) with 0 in place of the parts that the rule drops."""
        whole = torch.zeros_like(labels, dtype=torch.bool)
        for value in self.values:
            whole = whole | (labels == value)
        places = torch.nonzero(whole)
        if len(places) == 0:
            return labels
        low = places.amin(dim=0)
        high = places.amax(dim=0) + 1
        z = int(low[0])
        y = int(low[1])
        x = int(low[2])
        stop_z = int(high[0])
        stop_y = int(high[1])
        stop_x = int(high[2])
        box = whole[z:stop_z, y:stop_y, x:stop_x]
        numbers = self.parts(box)

        present = numbers[numbers > 0]
        found, voxels = torch.unique(present, return_counts=True)
        # The first parts have the highest numbers; of equal ones the first stays.
        found = found.flip(0)
        voxels = voxels.flip(0)
        ordered, order = torch.sort(voxels, descending=True, stable=True)
        dropped = torch.zeros_like(numbers, dtype=torch.bool)
        for rank in range(1, len(order)):
            is_among_largest = self.most == 0 or rank < self.most
            volume_mm3 = float(ordered[rank]) * voxel_mm3
            is_large = volume_mm3 >= self.min_mm3
            if is_among_largest and is_large:
                continue
            number = found[order[rank]]
            dropped = dropped | (numbers == number)

        # What was given stays as it is.
        kept = labels.clone()
        kept[z:stop_z, y:stop_y, x:stop_x][dropped] = 0
        return kept
