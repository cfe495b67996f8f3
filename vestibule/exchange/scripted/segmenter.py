"""`vestibule.segmentation` in tensors: nnU-Net's normalisation, resampling, sliding window and softmax."""

import math

import torch
from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from torch import Tensor, nn
from torch.nn import functional

from vestibule.errors import InputError
from vestibule.exchange.mirrors import mirrors_of
from vestibule.exchange.scripted.axes import Resizing
from vestibule.exchange.scripted.ears import Settled
from vestibule.segmentation import Segmenter

NORMALISATIONS = ("ZScoreNormalization", "RescaleTo01Normalization")
RESAMPLER = "resample_data_or_seg_to_shape"
ORDERS = (0, 1, 3)
"""Of splines that `Resizing` knows."""


class Resampling(nn.Module):
    """nnU-Net's `resample_data_or_seg_to_shape` for images and logits."""

    def __init__(self, options: dict) -> None:
        super().__init__()
        self.resizing = Resizing()
        self.order = int(options.get("order", 3))
        self.order_z = int(options.get("order_z", 0))
        forced = options.get("force_separate_z")
        self.may_separate = forced is not False
        self.must_separate = forced is True
        self.threshold = float(options.get("separate_z_anisotropy_threshold", ANISO_THRESHOLD))
        for order in (self.order, self.order_z):
            if order not in ORDERS:
                raise InputError(f"nnU-Net resamples by splines of order {order}; an export knows {ORDERS}")

    def forward(self, volume: Tensor, shape: list[int], old: Tensor, new: Tensor) -> Tensor:
        """A volume in another shape.

        Args:
            volume: (C, Z, Y, X).
            shape: What it becomes, of its last three axes.
            old: Its spacing in mm, float64 (3,).
            new: What that becomes.

        Returns:
            (C, Z, Y, X) of the same type.
        """
        if list(volume.shape[1:]) == shape:
            return volume
        apart = self.separate_axis(old, new)
        # Smallest and largest value are taken over what is interpolated together.
        together: list[int] = []
        for axis in range(3):
            if axis != apart:
                together.append(axis + 1)
        values = volume.double()
        low = values.amin(dim=together, keepdim=True)
        high = values.amax(dim=together, keepdim=True)
        for axis in together:
            values = self.resized(values, axis, shape[axis - 1], self.order)
        values = torch.minimum(torch.maximum(values, low), high)
        if apart >= 0:
            values = self.resized(values, apart + 1, shape[apart], self.order_z)
        return values.to(volume.dtype)

    def resized(self, values: Tensor, axis: int, size: int, order: int) -> Tensor:
        """Values with `size` voxels along an axis."""
        if values.size(axis) == size:
            return values
        matrix = self.resizing(values.size(axis), size, order, values)
        along = values.movedim(axis, -1) @ matrix.T
        return along.movedim(-1, axis)

    def separate_axis(self, old: Tensor, new: Tensor) -> int:
        """The axis that is resampled by itself, since its voxels are much longer; -1 for none."""
        coarse = old
        if not self.must_separate:
            if not self.may_separate:
                return -1
            if float(old.max() / old.min()) <= self.threshold:
                coarse = new
                if float(new.max() / new.min()) <= self.threshold:
                    return -1
        longest = torch.nonzero(coarse.max() / coarse == 1)
        if len(longest) != 1:
            return -1
        return int(longest[0])


class ScriptedSegmenter(nn.Module):
    """A segmenter's networks and what nnU-Net does around them, on a CPU in the same arithmetic."""

    window_weights: Tensor
    """Of a window's voxels, float16 (Z, Y, X)."""
    mirrors: list[list[int]]
    """Axes of a patch that are mirrored together; TorchScript cannot tell the type of an empty list."""

    def __init__(self, segmenter: Segmenter, transpose: list[int], mirror_axes: list[int], tile_step: float) -> None:
        """Trace the networks of all folds.

        Args:
            segmenter: The original, on the CPU.
            transpose: The order that the plans give the axes.
            mirror_axes: As the bundle has them.
            tile_step: Likewise.

        Raises:
            InputError: The plans ask for a normalisation or resampling that is not known here.
        """
        super().__init__()
        plan = segmenter.plan
        schemes = list(plan.normalization_schemes)
        masked = any(plan.use_mask_for_norm or [])
        if len(schemes) != 1 or schemes[0] not in NORMALISATIONS or masked:
            known = " or ".join(NORMALISATIONS)
            raise InputError(f"the plans ask for {schemes}; an export knows {known} of the whole image")
        for step in ("data", "probabilities"):
            name = plan.configuration[f"resampling_fn_{step}"]
            if name != RESAMPLER:
                raise InputError(f"the plans ask for {name}; an export knows {RESAMPLER}")

        self.is_z_score = schemes[0] == NORMALISATIONS[0]
        self.settled = Settled()
        self.image_resampling = Resampling(plan.configuration["resampling_fn_data_kwargs"])
        self.logit_resampling = Resampling(plan.configuration["resampling_fn_probabilities_kwargs"])
        self.forward_order = list(transpose)
        self.backward_order = [transpose.index(axis) for axis in range(3)]
        self.spacing = [float(step) for step in plan.spacing]
        self.patch = [1, 1, *plan.patch_size]
        self.tile_step = float(tile_step)
        self.mirrors = mirrors_of(mirror_axes)

        weights = compute_gaussian(tuple(plan.patch_size), sigma_scale=1 / 8, value_scaling_factor=10, device="cpu")
        # A network of slices has windows of one slice.
        self.sides = [1, *plan.patch_size][-3:]
        self.register_buffer("window_weights", weights.reshape(self.sides).clone())
        traced = []
        example = torch.zeros(self.patch)
        for state in segmenter.states:
            segmenter.network.load_state_dict(state)
            segmenter.network.eval()
            traced.append(torch.jit.trace(segmenter.network, example))
        self.networks = nn.ModuleList(traced)
        self.classes = int(segmenter.network(example).shape[1])
        self.window = [self.classes, *self.sides]

    def forward(self, t1_unit: Tensor, spacing: Tensor) -> Tensor:
        """Class probabilities of a T1 volume.

        Args:
            t1_unit: float32 (Z, Y, X) in [-1, 1].
            spacing: In mm, float64 (z, y, x).

        Returns:
            float32 (C, Z, Y, X).
        """
        order = self.forward_order
        volume = t1_unit.permute(order)
        own = self.settled(spacing)
        own = own[torch.tensor(order, device=spacing.device)]
        # A plan of slices leaves the spacing between them as it is.
        planned = own.clone()
        first = 3 - len(self.spacing)
        for number, step in enumerate(self.spacing):
            planned[first + number] = step

        shape: list[int] = []
        for axis in range(3):
            ratio = float(own[axis] / planned[axis])
            size = ratio * volume.size(axis)
            shape.append(self.rounded(size))
        normal = self.normalised(volume).unsqueeze(0)
        resampled = self.image_resampling(normal, shape, own, planned)

        logits = self.logits(resampled[0])
        before = list(volume.shape)
        logits = self.logit_resampling(logits, before, planned, own)
        shares = torch.softmax(logits.float(), dim=0)
        back = [0]
        for axis in self.backward_order:
            back.append(axis + 1)
        return shares.permute(back)

    def normalised(self, volume: Tensor) -> Tensor:
        """The volume (Z, Y, X) in the scale that the networks learnt."""
        if self.is_z_score:
            exact = volume.double()
            mean = exact.mean().float()
            deviation = exact.std(correction=0).float()
            centred = volume - mean
            return centred / deviation.clamp(min=1e-8)
        lifted = volume - volume.min()
        return lifted / lifted.max().clamp(min=1e-8)

    def logits(self, volume: Tensor) -> Tensor:
        """Logits float16 (C, Z, Y, X) of a normalised volume (Z, Y, X): means over windows, and over folds."""
        sides = self.sides
        # What is smaller than a window is filled up with the mean, which is 0.
        padding: list[int] = []
        before: list[int] = []
        for axis in range(3):
            missing = max(sides[axis] - volume.size(axis), 0)
            first = missing // 2
            before.append(first)
            # The last axis comes first.
            padding.insert(0, missing - first)
            padding.insert(0, first)
        filled = functional.pad(volume, padding)

        depth = sides[0]
        rows = sides[1]
        columns = sides[2]
        starts_z = self.starts(filled.size(0), depth)
        starts_y = self.starts(filled.size(1), rows)
        starts_x = self.starts(filled.size(2), columns)
        weights = self.window_weights
        # In half precision, as nnU-Net adds them up.
        shape = [self.classes]
        for axis in range(3):
            shape.append(filled.size(axis))
        mean = torch.zeros(shape, dtype=torch.half, device=volume.device)
        for network in self.networks:
            total = torch.zeros_like(mean)
            seen = torch.zeros_like(total[0])
            for z in starts_z:
                for y in starts_y:
                    for x in starts_x:
                        window = filled[z : z + depth, y : y + rows, x : x + columns]
                        patch = window.reshape(self.patch)
                        prediction = network(patch)
                        for axes in self.mirrors:
                            mirrored = network(torch.flip(patch, axes))
                            prediction = prediction + torch.flip(mirrored, axes)
                        times = len(self.mirrors) + 1
                        prediction = prediction / times
                        weighted = prediction.reshape(self.window) * weights

                        # Views: what is added to them is added to the whole.
                        there = total[:, z : z + depth, y : y + rows, x : x + columns]
                        seen_there = seen[z : z + depth, y : y + rows, x : x + columns]
                        there += weighted
                        seen_there += weights
            mean = mean + total / seen
        mean = mean / len(self.networks)

        # Without what was filled up.
        for axis in range(3):
            mean = mean.narrow(axis + 1, before[axis], volume.size(axis))
        return mean

    def rounded(self, value: float) -> int:
        """The whole number nearest to `value`; TorchScript's `round` gives a real one, unlike Python's."""
        return int(round(value))  # noqa: RUF046

    def starts(self, size: int, side: int) -> list[int]:
        """Where the windows along an axis begin."""
        free = size - side
        step = side * self.tile_step
        count = math.ceil(free / step) + 1
        apart = free / max(count - 1, 1)
        places: list[int] = []
        for number in range(count):
            place = apart * number
            places.append(self.rounded(place))
        return places
