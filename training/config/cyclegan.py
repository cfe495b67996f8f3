"""Settings of the CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.checks import at_least_one, not_negative, share, sheets_are_random
from training.config.sampling import SamplingConfig
from vestibule.networks import GeneratorConfig


@dataclass(frozen=True)
class CycleGANConfig:
    """Unpaired translation, Zhu et al. 2017."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator_width: int = 64
    """Channels of the discriminators' first layer."""
    discriminator_layers: int = 3
    """3 gives the 70 x 70 PatchGAN. Each layer less about halves the side of the patch that it sees."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    iterations: int = 200_000
    """Steps of training. The default is 200 epochs as published, of 1000 slices each, which is our choice."""
    decay_from: float = 0.5
    """Share of the iterations after which the learning rate falls linearly to 0."""
    learning_rate: float = 2e-4
    """Learning rate of Adam, at the start."""
    cycle_weight: float = 10.0
    """Weight λ of the cycle term."""
    identity_weight: float = 0.5
    """Weight ι of the identity term, relative to `cycle_weight` as in the published code; 0 leaves the term out."""
    pool_size: int = 50
    """Earlier fakes that are kept to train the discriminators, slices."""
    segmentation_weight: float = field(default=0.0, metadata={"added": True})
    """Weight of a segmenter that is trained beside, on synthetic T2 with T1's labels, so that a tumour that is erased
    costs; 0 leaves it out, as in the paper. Published for crossMoDA 2022."""
    site_code: bool = field(default=False, metadata={"added": True})
    """Whether the T1 -> T2 generator and its discriminator are told the site of T2, for editions with several, so that
    it can give the look of each; the way back is not told. Synthetic T2 then has every site's look. Not for arms that
    transfer tumours, which have one look of T2."""
    align: bool = False
    """Sample the parts of T2 slices as many rows below those of T1 slices as the generators are seen to shift anatomy.
    Needs a `sampling.crop_yx` with fewer rows than the slices. Our addition."""
    average: float = 0.0
    """Decay of the running mean of the generators' weights (EMA), which is what the stage leaves behind; 0: the last
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
        not_negative(learning_rate=self.learning_rate, segmentation_weight=self.segmentation_weight)
        share(decay_from=self.decay_from)
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be at least 0 and below 1, got {self.average}")
