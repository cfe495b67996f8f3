"""Settings of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.checks import at_least_one, not_negative, share, sheets_are_random
from training.config.sampling import SamplingConfig
from vestibule.networks import GeneratorConfig


@dataclass(frozen=True)
class Pix2PixConfig:
    """Paired translation B' -> A with a pixel loss, Isola et al. 2017."""

    generator: GeneratorConfig = field(default_factory=lambda: GeneratorConfig("unet", 64, 8, 0.5))
    discriminator_width: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_layers: int = 3
    """3 gives the 70 x 70 PatchGAN. Each layer less about halves the side of the patch that it sees."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    iterations: int = 200_000
    """Steps of training. The default is 200 epochs as in the published code, of 1000 slices each, which is our
    choice."""
    decay_from: float = 0.5
    """Share of the iterations after which the learning rate falls linearly to 0, as in the published code."""
    learning_rate: float = 2e-4
    """Learning rate of Adam, at the start."""
    pixel_weight: float = 100.0
    """Weight λ of the pixel loss."""
    tumour_share: float = 0.0
    """Share of the batch that is sampled among slices with a tumour; 0 samples all slices alike. Our addition."""
    tumour_weight: float = 1.0
    """Weight of tumour pixels in the pixel loss; 1, as in the paper, treats all alike."""
    warm_start: bool = False
    """Start from the CycleGAN's T2 -> T1 generator, which must have the same configuration. Our addition."""
    average: float = 0.0
    """Decay of the running mean of the generator's weights (EMA), which is what the stage leaves behind; 0: the last
    weights, as in the paper."""
    checkpoint_every: int = field(default=1000, metadata={"changes_result": False})
    """Steps between checkpoints, from which an interrupted training resumes."""
    sample_every: int = field(default=1000, metadata={"changes_result": sheets_are_random})
    """Steps between sheets of sample slices."""

    def __post_init__(self) -> None:
        at_least_one(
            discriminator_width=self.discriminator_width,
            discriminator_layers=self.discriminator_layers,
            iterations=self.iterations,
            checkpoint_every=self.checkpoint_every,
            sample_every=self.sample_every,
        )
        not_negative(learning_rate=self.learning_rate)
        share(decay_from=self.decay_from, tumour_share=self.tumour_share)
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be at least 0 and below 1, got {self.average}")
