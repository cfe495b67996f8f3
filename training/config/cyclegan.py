"""Settings of the CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.sampling import SamplingConfig
from vestibule.networks import GeneratorConfig


@dataclass(frozen=True)
class CycleGANConfig:
    """Unpaired translation, Zhu et al. 2017."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator_width: int = 64
    discriminator_layers: int = 3
    """3 gives the 70 x 70 PatchGAN; each layer less about halves what a patch sees."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    iterations: int = 200_000
    decay_from: float = 0.5
    """Share of the iterations after which the learning rate falls linearly to 0."""
    learning_rate: float = 2e-4
    cycle_weight: float = 10.0
    identity_weight: float = 0.5
    """Relative to `cycle_weight`, as in the published code."""
    pool_size: int = 50
    align: bool = False
    """Draw the parts of target slices farther down than those of source slices, by as many rows as the generators are
    seen to shift; parts must have fewer rows than slices."""
    average: float = 0.0
    """Decay of the running mean of the generators' weights, which is what the stage leaves behind; 0: the last weights,
    as in the paper."""
    checkpoint_every: int = 1000
    sample_every: int = 1000
