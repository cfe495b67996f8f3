"""The whole configuration of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.arms import ARMS, BASELINE, ONESHOT, arms_of
from training.config.augment import AugmentConfig
from training.config.cyclegan import CycleGANConfig
from training.config.harmoniser import HarmoniserSettings
from training.config.pix2pix import Pix2PixConfig
from training.config.reference import ReferenceConfig
from training.config.segmenter import SegmenterConfig
from training.config.singan import SinGANConfig
from training.config.transfer import TransferConfig
from training.phantom.config import PhantomConfig
from vestibule.editions import get_edition
from vestibule.preprocessing import PreprocessingConfig


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on, but for where the data lies."""

    name: str
    """Name of the run's bundle."""
    intended_use: str
    """`phantom` or `challenge`: decides the notice that the bundle prints at every use."""
    edition: int = 2022
    """Year of the challenge whose folders, file names and labels the data have."""
    seed: int = 0
    """Seed of everything in the run that is sampled at random."""
    arms: tuple[str, ...] = (BASELINE.name, ONESHOT.name)
    """Arms that the bundle holds; they decide which stages run."""
    default_arm: str | None = None
    """The arm that predicts where nobody names one; by default the last of `arms` that is not the upper bound."""
    precision: str = "auto"
    """Arithmetic of the GAN stages by Lightning Fabric's names (`32-true`, `bf16-mixed`). `auto`: `bf16-mixed` where
    the device has instructions for it, else `32-true`, since emulated bfloat16 is ten times slower."""
    phantom: PhantomConfig | None = None
    """Where set, the run makes its own data, with the run's own `edition` and `seed`."""
    prepare: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    cyclegan: CycleGANConfig = field(default_factory=CycleGANConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    harmoniser: HarmoniserSettings = field(default_factory=SinGANConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    pix2pix: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        get_edition(self.edition)
        arms_of(self.arms)
        if not self.arms:
            raise ValueError(f"arms must name at least one of {tuple(ARMS)}")
        if self.default_arm not in (None, *self.arms):
            raise ValueError(f"default_arm must be one of arms, {self.arms}, got {self.default_arm!r}")
        if self.intended_use not in ("phantom", "challenge"):
            raise ValueError(f"intended_use must be 'phantom' or 'challenge', got {self.intended_use!r}")
        if self.pix2pix.warm_start and self.pix2pix.generator != self.cyclegan.generator:
            raise ValueError("pix2pix.warm_start needs the generator of cyclegan, but the two differ")
        for stage in (self.cyclegan, self.pix2pix):
            if not 0 <= stage.average < 1:
                raise ValueError(f"average must be at least 0 and below 1, got {stage.average}")
            crop = stage.sampling.crop_yx or self.prepare.size_yx
            if any(n % stage.generator.stride for n in (*self.prepare.size_yx, *crop)):
                raise ValueError(
                    f"prepare.size_yx {self.prepare.size_yx} and crop_yx {crop} must be divisible by "
                    f"{stage.generator.stride}, the stride of the {stage.generator.architecture} generator"
                )
            if any(n > whole for n, whole in zip(crop, self.prepare.size_yx, strict=True)):
                raise ValueError(f"crop_yx {crop} must fit into prepare.size_yx {self.prepare.size_yx}")
        rows = (self.cyclegan.sampling.crop_yx or self.prepare.size_yx)[0]
        if self.cyclegan.align and rows == self.prepare.size_yx[0]:
            raise ValueError(f"cyclegan.align needs a cyclegan.sampling.crop_yx of fewer rows than the slice's {rows}")
