"""The configuration of a run: frozen dataclasses, a file a topic, each key described below it."""

from training.config.augment import AugmentConfig
from training.config.cyclegan import CycleGANConfig
from training.config.gpdm import GPDMConfig
from training.config.gpnn import GPNNConfig
from training.config.harmoniser import HarmoniserSettings
from training.config.local_contrast import LocalContrastConfig
from training.config.patch_diffusion import PatchDiffusionConfig
from training.config.pix2pix import Pix2PixConfig
from training.config.postprocessing import PostprocessingConfig
from training.config.reader import build, read_config
from training.config.reference import ReferenceConfig
from training.config.resources import ResourcesConfig, resources_for
from training.config.rounds import Rounds, rounds_of, trainings_in
from training.config.run import RunConfig
from training.config.sampling import SamplingConfig
from training.config.segmenter import SegmenterConfig
from training.config.self_training import SelfTrainingConfig
from training.config.singan import SCHEDULES, SinGANConfig, scheduled
from training.config.stages import stages_of
from training.config.transfer import TransferConfig

__all__ = [
    "SCHEDULES",
    "AugmentConfig",
    "CycleGANConfig",
    "GPDMConfig",
    "GPNNConfig",
    "HarmoniserSettings",
    "LocalContrastConfig",
    "PatchDiffusionConfig",
    "Pix2PixConfig",
    "PostprocessingConfig",
    "ReferenceConfig",
    "ResourcesConfig",
    "Rounds",
    "RunConfig",
    "SamplingConfig",
    "SegmenterConfig",
    "SelfTrainingConfig",
    "SinGANConfig",
    "TransferConfig",
    "build",
    "read_config",
    "resources_for",
    "rounds_of",
    "scheduled",
    "stages_of",
    "trainings_in",
]
