"""Settings of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.sampling import SamplingConfig
from vestibule.networks import GeneratorConfig


@dataclass(frozen=True)
class Pix2PixConfig:
    """Paired translation B' -> A with a pixel loss, Isola et al. 2017."""

    generator: GeneratorConfig = field(default_factory=lambda: GeneratorConfig("unet", 64, 8, 0.5))
    discriminator_width: int = 64
    discriminator_layers: int = 3
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    iterations: int = 200_000
    decay_from: float = 0.5
    learning_rate: float = 2e-4
    pixel_weight: float = 100.0
    tumour_share: float = 0.0
    """Share of the batch that is drawn among slices with a tumour; 0 draws all slices alike."""
    tumour_weight: float = 1.0
    """Weight of tumour pixels in the pixel loss; 1, as in the paper, treats all alike."""
    warm_start: bool = False
    """Start from the CycleGAN's T2 -> T1 generator, which must be of the same configuration."""
    average: float = 0.0
    """Decay of the running mean of the generator's weights, which is what the stage leaves behind; 0: the last weights,
    as in the paper."""
    checkpoint_every: int = 1000
    sample_every: int = 1000
