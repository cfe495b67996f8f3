"""The whole configuration of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.arms import ARMS, BASELINE, ONESHOT, arms_of
from training.config.augment import AugmentConfig
from training.config.cyclegan import CycleGANConfig
from training.config.folders import FoldersConfig
from training.config.harmoniser import HarmoniserSettings
from training.config.local_contrast import LocalContrastConfig
from training.config.pix2pix import Pix2PixConfig
from training.config.postprocessing import PostprocessingConfig
from training.config.reference import ReferenceConfig
from training.config.resources import ResourcesConfig
from training.config.segmenter import SegmenterConfig
from training.config.self_training import SelfTrainingConfig
from training.config.singan import SinGANConfig
from training.config.transfer import TransferConfig
from training.phantom.config import PhantomConfig
from training.stage_table import CYCLEGAN, PIX2PIX, SECOND_CYCLEGAN, SELF_TRAINING, TRANSFER
from vestibule.editions import get_edition
from vestibule.preprocessing import PreprocessingConfig

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")
"""Arithmetic that Lightning Fabric has names for, and the choice by the device."""
ROUNDS = ("rounds", "last_on_target", "last_epochs")
"""Keys of `augment` for which those of `self_training` stand, where there is such a section."""
MOST_LAYERS = 20
"""Of a discriminator whose least part is worked out: no image is as large as that of more."""
USES = ("phantom", "challenge")
"""What a bundle can be for."""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on, but for where the data lies."""

    name: str
    """Name of the run's bundle."""
    intended_use: str
    """`phantom` or `challenge`: decides the notice that the bundle prints at every use."""
    edition: int
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
    folders: FoldersConfig = field(default_factory=FoldersConfig)
    prepare: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    cyclegan: CycleGANConfig = field(default_factory=CycleGANConfig)
    second_cyclegan: CycleGANConfig | None = field(default=None, metadata={"added": True})
    """Where set, a second CycleGAN with these settings and a seed of its own makes as much synthetic T2 again, for arms
    that train on it. What it leaves out has its default, not the value of `cyclegan`."""
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    harmoniser: HarmoniserSettings = field(default_factory=SinGANConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    pix2pix: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    local_contrast: LocalContrastConfig | None = field(default=None, metadata={"added": True})
    """Where set, tumour and cochlea have random intensities while nnU-Net trains."""
    self_training: SelfTrainingConfig | None = field(default=None, metadata={"added": True})
    """Where set, nnU-Net on synthetic T2 goes on with those of its own masks of real T2 that can be trusted."""
    postprocessing: PostprocessingConfig | None = field(default=None, metadata={"added": True})
    """Where set, folds, mirroring and connected parts are chosen on held-back cases."""
    resources: tuple[ResourcesConfig, ...] = field(default=(), metadata={"recorded": False})
    """What jobs of stages are given by `vestibule train submit`: a list of entries. It changes no result."""

    def __post_init__(self) -> None:
        get_edition(self.edition)
        arms_of(self.arms)
        if not self.arms:
            raise ValueError(f"arms must name at least one of {tuple(ARMS)}")
        if self.default_arm is not None and self.default_arm not in self.arms:
            raise ValueError(f"default_arm must be one of arms, {self.arms}, got {self.default_arm!r}")
        if self.phantom is not None and self.folders.named:
            raise ValueError("folders is for data from outside; phantom makes its own")
        if self.intended_use not in USES:
            raise ValueError(f"intended_use must be one of {USES}, got {self.intended_use!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")
        if self.pix2pix.warm_start and self.pix2pix.generator != self.cyclegan.generator:
            raise ValueError("pix2pix.warm_start needs the generator of cyclegan, but the two differ")

        self._check_segmenters()
        self._check_part(CYCLEGAN.name, self.cyclegan)
        self._check_part(PIX2PIX.name, self.pix2pix)
        self._check_pair(CYCLEGAN.name, self.cyclegan)
        if self.second_cyclegan is not None:
            self._check_second(self.second_cyclegan)

    def _check_second(self, settings: CycleGANConfig) -> None:
        """Raise ValueError where the second CycleGAN cannot be trained, or nothing would be made with it."""
        users = [arm.name for arm in ARMS.values() if SECOND_CYCLEGAN in arm.stages]
        if not set(users) & set(self.arms):
            raise ValueError(
                f"second_cyclegan is for arms that train on synthetic T2, {users}, and arms are {list(self.arms)}; "
                "name one of these, or leave the section out"
            )
        self._check_part(SECOND_CYCLEGAN.name, settings)
        self._check_pair(SECOND_CYCLEGAN.name, settings)

    def _check_pair(self, section: str, settings: CycleGANConfig) -> None:
        """Raise ValueError where a CycleGAN is asked for what the run's slices, edition or arms do not allow."""
        rows, _ = self.prepare.size_yx
        part_rows, _ = settings.sampling.crop_yx or self.prepare.size_yx
        if settings.align and part_rows == rows:
            raise ValueError(
                f"{section}.align needs a {section}.sampling.crop_yx of fewer rows than the slice's {rows}"
            )
        if not settings.site_code:
            return
        sites = get_edition(self.edition).sites
        if len(sites) < 2:
            raise ValueError(
                f"{section}.site_code is for editions with several sites, and {self.edition} has {sites[0]} alone; "
                "leave it out"
            )
        with_transfer = [arm.name for arm in arms_of(self.arms) if TRANSFER in arm.stages]
        if with_transfer:
            raise ValueError(
                f"{section}.site_code gives several looks of T2, and the arm {with_transfer[0]!r} transfers tumours "
                "into one; leave out one of the two"
            )

    def _check_segmenters(self) -> None:
        """Raise ValueError where a section on the segmenters could change none of them."""
        if self.local_contrast is not None:
            self._check_stages("local_contrast", self.local_contrast.stages)
        if self.self_training is not None:
            self._check_stages(SELF_TRAINING.name, self.self_training.stages)
            self._check_rounds(self.self_training)

        if self.postprocessing is not None and self.segmenter.held_back == 0:
            raise ValueError(
                "postprocessing is chosen on held-back cases, and segmenter.held_back is 0; set it, or leave the "
                "section out"
            )

    def _check_stages(self, section: str, stages: tuple[str, ...]) -> None:
        """Raise ValueError where no arm trains nnU-Net in one of the stages that a section names."""
        trained = sorted({arm.segmenter.name for arm in arms_of(self.arms)})
        if not set(trained) & set(stages):
            raise ValueError(
                f"{section}.stages names {stages}, and the arms {self.arms} train nnU-Net in {trained}; name one of "
                "these, or leave the section out"
            )

    def _check_rounds(self, settings: SelfTrainingConfig) -> None:
        """Raise ValueError where masks could not be compared with any, or rounds are told twice and differ."""
        has_folds = settings.folds and len(self.segmenter.folds) > 1
        has_translators = settings.translators and self.second_cyclegan is not None
        compared = settings.mirrored or has_folds or has_translators
        if settings.min_agreement > 0 and not compared:
            raise ValueError(
                "self_training.min_agreement needs masks to compare with: set mirrored, or folds with several "
                "segmenter.folds, or translators with second_cyclegan, or min_agreement: 0"
            )
        if SELF_TRAINING.name not in settings.stages:
            return
        defaults = AugmentConfig()
        for key in ROUNDS:
            before = getattr(self.augment, key)
            now = getattr(settings, key)
            # What a file leaves out is at its default.
            if before not in (now, getattr(defaults, key)):
                raise ValueError(
                    f"augment.{key} is {before} and self_training.{key} is {now}; write it in the latter alone"
                )

    def _check_part(self, section: str, settings: CycleGANConfig | Pix2PixConfig) -> None:
        """Raise ValueError where the networks of a section cannot work on the part of the slice that they are shown."""
        whole = self.prepare.size_yx
        part = settings.sampling.crop_yx or whole
        stride = settings.generator.stride
        architecture = settings.generator.architecture
        for side in whole + part:
            if side % stride:
                raise ValueError(
                    f"prepare.size_yx {whole} and crop_yx {part} must be divisible by {stride}, the stride of the "
                    f"{architecture} generator"
                )
        if part[0] > whole[0] or part[1] > whole[1]:
            raise ValueError(f"crop_yx {part} must fit into prepare.size_yx {whole}")

        # Each layer halves the image, and the last two convolutions of the PatchGAN take a pixel each.
        # The power of an absurd number would be computed without end.
        smallest = 3 * 2 ** min(settings.discriminator_layers, MOST_LAYERS)
        if min(part) < smallest:
            raise ValueError(
                f"{section}.discriminator_layers {settings.discriminator_layers} needs at least {smallest} pixels a "
                f"side, and the networks are shown {part[0]} x {part[1]}"
            )
