"""SinGAN's networks: a cascade of generators, coarse to fine, each for the patches of one scale. Shaham et al. 2019."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from training.config import SinGANConfig
from training.harmonisers.pyramid import resize, scale_sizes, size_at
from vestibule.errors import InputError

KERNEL_PX = 3
"""Side of all convolutions; they have no padding, so that each takes off one pixel at every edge."""


def patch_convolutions(width: int, layers: int) -> nn.Sequential:
    """`layers` convolutions with batch-normalised LeakyReLU between them, weights as published.

    (B, 1, Y, X) -> (B, 1, Y - 2 * layers, X - 2 * layers); a pixel of the output sees `2 * layers + 1` pixels a side.
    """
    body: list[nn.Module] = []
    channels = 1
    for _ in range(layers - 1):
        body.append(nn.Conv2d(channels, width, KERNEL_PX))
        body.append(nn.BatchNorm2d(width))
        body.append(nn.LeakyReLU(0.2))
        channels = width
    body.append(nn.Conv2d(channels, 1, KERNEL_PX))

    for module in body:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return nn.Sequential(*body)


class ScaleCritic(nn.Module):
    """D_n: scores every patch of an image, higher where it is more like those of the training slice."""

    def __init__(self, width: int, layers: int) -> None:
        """A critic of `layers` convolutions with `width` channels."""
        super().__init__()
        self.layers = patch_convolutions(width, layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """`image` (B, 1, Y, X) -> scores (B, 1, Y - 2 * layers, X - 2 * layers)."""
        return self.layers(image)


class ScaleGenerator(nn.Module):
    """G_n: adds to the image of the coarser scale what is missing from it. Shaham et al. 2019, eq. 2."""

    def __init__(self, width: int, layers: int) -> None:
        """A generator of `layers` convolutions with `width` channels."""
        super().__init__()
        self.layers = patch_convolutions(width, layers)
        # Padded once in front, by as much as all convolutions take off.
        self.margin_px = layers

    def forward(self, noise: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """`noise` and the image `previous` of the coarser scale, both (B, 1, Y, X) -> image (B, 1, Y, X)."""
        margins = [self.margin_px] * 4
        padded = pad(noise + previous, margins)
        missing = torch.tanh(self.layers(padded))
        return previous + missing


class SinGAN(nn.Module):
    """The cascade: sizes, channels, noise amplitudes and generators of all scales, coarsest first."""

    amplitudes: torch.Tensor
    fixed_noise: torch.Tensor

    def __init__(self, sizes: list[tuple[int, int]], widths: list[int], layers: int) -> None:
        """An untrained cascade.

        Args:
            sizes: Of the training slice at each scale (Y, X), coarsest first.
            widths: Channels of each scale.
            layers: Convolutions of each generator.
        """
        super().__init__()
        self.sizes = sizes
        self.widths = widths
        self.layers = layers
        self.generators = nn.ModuleList()
        for width in widths:
            self.generators.append(ScaleGenerator(width, layers))
        no_amplitudes = torch.zeros(len(sizes))
        self.register_buffer("amplitudes", no_amplitudes)
        no_noise = torch.zeros(1, 1, *sizes[0])
        self.register_buffer("fixed_noise", no_noise)

    @property
    def scales(self) -> int:
        """Number of scales."""
        return len(self.sizes)

    def size_at(self, scale: int, full_yx: tuple[int, ...]) -> tuple[int, int]:
        """Size at `scale` of an image that has `full_yx` pixels at the finest."""
        return size_at(self.sizes, scale, full_yx)

    def sample(self, count: int, upto: int, generator: torch.Generator | None = None, start: int = 0) -> torch.Tensor:
        """Random images.

        Args:
            count: Number of images.
            upto: The scale that they come from.
            generator: Of the noise; torch's own where there is none.
            start: Scales below it give the training slice back, so that what samples share grows with it. Shaham et
                al. 2019, fig. 8.

        Returns:
            Images (`count`, 1, Y, X) of the size of the scale `upto`.
        """
        known = torch.zeros_like(self.fixed_noise)
        if start > 0:
            known = self.reconstruct(start - 1)
        image = known.expand(count, -1, -1, -1)  # (count, 1, Y, X)

        for scale in range(start, upto + 1):
            image = resize(image, self.sizes[scale])
            noise = self.noise_at(scale, image, generator)
            image = self.generators[scale](noise, image)
        return image

    def reconstruct(self, upto: int) -> torch.Tensor:
        """The training slice as the scales up to `upto` give it back from the fixed noise, (1, 1, Y, X)."""
        image = torch.zeros_like(self.fixed_noise)
        for scale in range(upto + 1):
            image = resize(image, self.sizes[scale])
            noise = torch.zeros_like(image)
            if scale == 0:
                noise = self.fixed_noise * self.amplitudes[0]
            image = self.generators[scale](noise, image)
        return image

    @torch.no_grad()
    def inject(self, images: torch.Tensor, scale: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Images through G_scale, ..., G_N: what comes out has the training slice's texture below that scale.

        They enter with the blur of what the next coarser scale would hand on.

        Args:
            images: (B, 1, Y, X) in [-1, 1].
            scale: From 1 on: the generator of scale 0 has seen nothing but noise.
            generator: Of noise of the trained amplitudes; none is added where it is None.

        Returns:
            Images of the same shape and range.

        Raises:
            ValueError: A scale that the model does not have, or 0.
        """
        finest = self.scales - 1
        if not 1 <= scale <= finest:
            raise ValueError(f"injection scale must be from 1 to {finest}, got {scale}")
        full_yx = tuple(images.shape[-2:])
        coarser_yx = self.size_at(scale - 1, full_yx)
        image = resize(images, coarser_yx)

        for finer in range(scale, self.scales):
            size_yx = self.size_at(finer, full_yx)
            image = resize(image, size_yx)
            noise = torch.zeros_like(image)
            if generator is not None:
                noise = self.noise_at(finer, image, generator)
            image = self.generators[finer](noise, image)
        return image.clamp(-1, 1)

    def noise_at(self, scale: int, like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Noise of the amplitude of `scale`, of the shape of `like`; by torch's own generator where there is none."""
        if generator is None:
            noise = torch.randn_like(like)
        else:
            # On the CPU, where a generator gives the same numbers whatever the device of the networks.
            noise = torch.randn(like.shape, generator=generator)
            noise = noise.to(like.device)
        return self.amplitudes[scale] * noise


def pyramid_sizes(full_yx: tuple[int, ...], config: SinGANConfig) -> list[tuple[int, int]]:
    """Sizes of all scales, coarsest first: the shorter side starts at `coarsest_px` and grows by about 1/factor.

    The factor is adjusted so that whole steps lead from the coarsest to the full size. Shaham et al. 2019, suppl.

    Args:
        full_yx: Size of the training slice.
        config: Its coarsest size, scale factor and number of layers.

    Returns:
        Sizes (Y, X); the last is `full_yx`.

    Raises:
        InputError: The image is smaller than what the coarsest scale sees.
    """
    shorter = min(full_yx)
    receptive = 2 * config.layers + 1
    if shorter < receptive:
        raise InputError(
            f"the reference slice is {full_yx} px; the coarsest scale needs at least {receptive} px a side"
        )
    return scale_sizes(full_yx, config.coarsest_px, config.scale_factor)


def channels(scales: int, config: SinGANConfig) -> list[int]:
    """Channels of every scale, coarsest first: doubled every four scales up to `max_width`. Shaham et al. 2019."""
    most = config.max_width or config.width
    widths = []
    for scale in range(scales):
        doublings = scale // 4
        width = config.width << doublings
        widths.append(min(width, most))
    return widths
