"""Image-to-image generators, built from a dataclass that travels with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

ARCHITECTURES = ("resnet", "unet", "resunet")
MAX_WIDTH = 512
MAX_BLOCKS = 64
"""Most residual blocks; the papers have 9."""
MAX_UNET_STAGES = 10
"""Most stages of a `unet`, whose slices must then be 1024 voxels wide."""


@dataclass(frozen=True)
class GeneratorConfig:
    """One generator for single-channel slices."""

    architecture: str = "resnet"
    """`resnet`: Johnson et al. 2016 as in CycleGAN (Zhu et al. 2017). `unet`: as in pix2pix (Isola et al. 2017).
    `resunet`: residual blocks inside a shallow U-Net, whose skip connections keep fine anatomy in place."""
    width: int = 64
    """Channels of the first layer."""
    blocks: int = 9
    """Residual blocks of a `resnet` or `resunet`; stride-2 stages of a `unet`."""
    dropout: float = 0.0
    """Dropout in the three innermost decoder stages of a `unet` (0.5 in the paper)."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture must be one of {ARCHITECTURES}, got {self.architecture!r}")
        if self.width < 1 or self.blocks < 1:
            raise ValueError(f"width and blocks must be positive, got {self.width} and {self.blocks}")
        # A bundle or a configuration may say anything, and building what it says takes as long as it says.
        most_blocks = MAX_UNET_STAGES if self.architecture == "unet" else MAX_BLOCKS
        for name, value, most in (("width", self.width, MAX_WIDTH), ("blocks", self.blocks, most_blocks)):
            if not isinstance(value, int) or value > most:
                raise ValueError(f"{name} of a {self.architecture} must be a whole number up to {most}, got {value}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    @property
    def stride(self) -> int:
        """The sides of an input slice must be divisible by this."""
        if self.architecture == "resnet":
            return 4
        if self.architecture == "resunet":
            return 8
        return 2**self.blocks


def build_generator(config: GeneratorConfig) -> nn.Module:
    """The generator of `config`: (B, 1, Y, X) in [-1, 1] -> (B, 1, Y, X) in [-1, 1]."""
    if config.architecture == "resnet":
        return ResNetGenerator(config.width, config.blocks)
    if config.architecture == "resunet":
        return ResUNetGenerator(config.width, config.blocks)
    return UNetGenerator(config.width, config.blocks, config.dropout)


def generator_to_dict(config: GeneratorConfig) -> dict:
    """`config` as a manifest keeps it; `GeneratorConfig(**...)` is the way back."""
    return asdict(config)


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    """The shape of each tensor by name."""
    return {name: tensor.shape for name, tensor in tensors.items()}


class InstanceNorm(nn.Module):
    """Instance normalisation without parameters, as `nn.InstanceNorm2d`: (B, C, Y, X) -> the same.

    By way of a group norm of one channel a group, which is the same sum and three to five times as fast on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each image by itself."""
        return functional.group_norm(features, self.channels)


class RowConv2d(nn.Conv2d):
    """A convolution from or to a single channel, without stride or padding, that suits a CPU.

    CPU kernels are slow where one side has a single channel; so the kernel's rows are made channels first, which gives
    the same sums two to three times as fast.
    """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, Y, X)."""
        if image.device.type != "cpu":
            return super().forward(image)
        rows, _ = self.kernel_size
        height = image.shape[2] - rows + 1

        if self.in_channels == 1:
            # The image, moved up by each of the kernel's rows.
            moved = [image[:, :, row : row + height] for row in range(rows)]
            shifted = torch.cat(moved, dim=1)  # (B, rows, Y', X)
            kernel = self.weight.transpose(1, 2)  # (C, rows, 1, columns)
            return functional.conv2d(shifted, kernel, self.bias)

        # What each of the kernel's rows makes of the image, then their sum, each from its own row on.
        kernel = self.weight[0].transpose(0, 1)[:, :, None]  # (rows, C, 1, columns)
        by_row = functional.conv2d(image, kernel)  # (B, rows, Y, X')
        result = self.bias.view(1, 1, 1, 1)  # type: ignore[union-attr]  # no layer here goes without
        for row in range(rows):
            result = result + by_row[:, row : row + 1, row : row + height]
        return result


class ResNetGenerator(nn.Module):
    """CycleGAN's generator: c7s1-w, two stride-2 stages, residual blocks, two upsampling stages, c7s1-1, tanh.

    Reflection padding and instance normalisation throughout. Zhu et al. 2017, appendix 7.2 (w = 64, 9 blocks for
    256 x 256: 11.4 M parameters).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3)]
        layers.append(RowConv2d(1, width, 7))
        layers.extend(_norm_relu(width))

        # Down: (B, w, Y, X) -> (B, 4w, Y/4, X/4).
        for inputs in (width, 2 * width):
            outputs = 2 * inputs
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
            layers.extend(_norm_relu(outputs))
        for _ in range(blocks):
            layers.append(ResidualBlock(4 * width))

        # And up again.
        for inputs in (4 * width, 2 * width):
            outputs = inputs // 2
            layers.append(nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1))
            layers.extend(_norm_relu(outputs))
        layers.append(nn.ReflectionPad2d(3))
        layers.append(RowConv2d(width, 1, 7))
        layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Translate slices (B, 1, Y, X) in [-1, 1], sides divisible by 4."""
        return self.layers(image)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with reflection padding and instance normalisation, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *_norm_relu(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(channels),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Add what the layers make of the features (B, C, Y, X) to them."""
        return features + self.layers(features)


class ResUNetGenerator(nn.Module):
    """A U-Net of three stride-2 stages (widths w, 2w, 4w, 4w) with residual blocks at an eighth of the resolution.

    Upsampling is by the nearest neighbour and a convolution, which leaves no checkerboard (Odena et al. 2016). With
    w = 16 and 2 blocks: 0.32 M parameters, for training by the minute on a CPU.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.encoder = nn.ModuleList()
        inputs, stride = 1, 1
        for outputs in widths:
            convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
            stage = nn.Sequential(convolution, *_norm_relu(outputs))
            self.encoder.append(stage)
            inputs, stride = outputs, 2

        residual_blocks = [ResidualBlock(inputs) for _ in range(blocks)]
        self.blocks = nn.Sequential(*residual_blocks)

        self.decoder = nn.ModuleList()
        for outputs in reversed(widths[:-1]):
            # What comes from below, and the encoder's features of the same size.
            convolution = nn.Conv2d(inputs + outputs, outputs, 3, padding=1)
            stage = nn.Sequential(convolution, *_norm_relu(outputs))
            self.decoder.append(stage)
            inputs = outputs
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Translate slices (B, 1, Y, X) in [-1, 1], sides divisible by 8."""
        features = image
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)

        features = self.blocks(skips.pop())  # (B, 4w, Y/8, X/8)

        # Twice as large with each stage, and with what the encoder saw at that size.
        for stage in self.decoder:
            features = functional.interpolate(features, scale_factor=2)
            joined = torch.cat([features, skips.pop()], dim=1)
            features = stage(joined)
        return torch.tanh(self.last(features))


class UNetGenerator(nn.Module):
    """pix2pix's generator: an encoder of `stages` stride-2 convolutions and a decoder with skip connections.

    Widths w, 2w, 4w, 8w, 8w, ... as in Isola et al. 2017, section 6.1.1 (w = 64, 8 stages for 256 x 256: 54.4 M
    parameters); instance instead of batch normalisation, since batches are small.
    """

    def __init__(self, width: int, stages: int, dropout: float) -> None:
        super().__init__()
        widths = [width * min(2**stage, 8) for stage in range(stages)]
        innermost = stages - 1

        self.encoder = nn.ModuleList()
        for stage, outputs in enumerate(widths):
            inputs = widths[stage - 1] if stage else 1
            layers: list[nn.Module] = []
            # The first stage gets the image itself.
            if stage:
                layers.append(nn.LeakyReLU(0.2))
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            # The innermost features may be one pixel wide, where a norm over the pixels would erase them.
            if 0 < stage < innermost:
                layers.append(InstanceNorm(outputs))
            self.encoder.append(nn.Sequential(*layers))

        self.decoder = nn.ModuleList()
        for stage in reversed(range(stages)):
            # But for the innermost, each stage also gets the encoder's features of the same size.
            inputs = widths[stage] if stage == innermost else 2 * widths[stage]
            outputs = widths[stage - 1] if stage else 1
            layers = [nn.ReLU()]
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1))
            # The last stage gives the image, which is not normalised.
            if stage:
                layers.append(InstanceNorm(outputs))
                if dropout and stage >= stages - 3:
                    layers.append(nn.Dropout(dropout))
            self.decoder.append(nn.Sequential(*layers))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Translate slices (B, 1, Y, X) in [-1, 1], sides divisible by 2 to the power of the stages."""
        features = image
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)

        # The innermost features have nothing to be joined with.
        features = self.decoder[0](skips.pop())
        for stage in self.decoder[1:]:
            joined = torch.cat([features, skips.pop()], dim=1)
            features = stage(joined)
        return torch.tanh(features)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    """What follows a convolution."""
    return InstanceNorm(channels), nn.ReLU(inplace=True)
