"""The configuration of a run: frozen dataclasses from YAML; an unknown key is fatal and names the nearest known."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from training.phantom.config import PhantomConfig
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.networks import GeneratorConfig
from vestibule.preprocessing import PreprocessingConfig

ARMS = ("baseline", "oneshot")
"""`baseline`: CycleGAN's T2 -> T1, then the segmenter. `oneshot`: the method of Sallé et al. 2021."""
KNOWN_ARMS = (*ARMS, "blending", "supervised")
"""`blending`: the successor of 2022, a segmenter trained on synthetic T2 with altered tumours and on its own masks of
real T2. `supervised`: one trained on labelled T2, the upper bound where such labels exist."""


@dataclass(frozen=True)
class SamplingConfig:
    """How slices are drawn from the prepared volumes."""

    batch_size: int = 1
    min_foreground: float = 0.05
    """Slices with a smaller share of voxels above -0.9 are black and not drawn."""
    flip: bool = True
    """Mirror half of the slices left to right: the anatomy is symmetric."""
    crop_yx: tuple[int, int] | None = None
    """Random part of the slice that is trained on; the whole slice where unset."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


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


SCHEDULES: dict[str, dict[str, int | None]] = {
    "fast": {},
    "paper": {
        **{"crop_px": None, "max_width": 128, "iterations": 2000, "discriminator_steps": 3, "generator_steps": 3},
        **{"reconstruction_weight": 10.0},
    },
}
"""What stands for the keys of `singan` that a file leaves out, where it is not the default below."""


@dataclass(frozen=True)
class SinGANConfig:
    """The one-shot model of a single target slice, Shaham et al. 2019."""

    schedule: str = "fast"
    """`fast`: minutes, by a crop around the tumour, one width and one step of each network an iteration. `paper`: the
    published channels and steps, hours on a CPU. Keys that the file gives stand in either."""
    case: str | None = None
    """Case of the reference slice; without it one is drawn among labelled target slices with a tumour."""
    slice: int | None = None
    """Index of the reference slice (z of the prepared volume)."""
    references: int = 1
    """Slices, of as many cases, that a cascade is trained on each; the source cases go through them in turn."""
    crop_px: int | None = 64
    """Side of the crop around the reference tumour; the whole slice where unset."""
    min_tumour_px: int = 40
    """A drawn reference slice shows at least so many tumour pixels."""
    coarsest_px: int = 25
    scale_factor: float = 0.75
    width: int = 32
    max_width: int | None = None
    """Channels double every four scales up to so many; unset, all scales have `width`."""
    layers: int = 5
    iterations: int = 2400
    """A scale's iterations."""
    discriminator_steps: int = 1
    generator_steps: int = 1
    learning_rate: float = 5e-4
    penalty_weight: float = 0.1
    reconstruction_weight: float = 50.0
    noise_weight: float = 0.1
    """Noise amplitude of a scale, relative to the residual that the coarser scales leave."""

    @staticmethod
    def with_preset(values: dict) -> dict:
        """`values` of a file, completed by those of their schedule."""
        return {**SCHEDULES.get(values.get("schedule"), {}), **values}

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {tuple(SCHEDULES)}, got {self.schedule!r}")
        if min(self.discriminator_steps, self.generator_steps, self.width, self.layers) < 1:
            raise ValueError(
                "discriminator_steps, generator_steps, width and layers must be at least 1, got "
                f"{self.discriminator_steps}, {self.generator_steps}, {self.width} and {self.layers}"
            )
        if self.max_width is not None and self.max_width < self.width:
            raise ValueError(f"max_width must be at least width, {self.width}, got {self.max_width}")
        if self.references < 1 or (self.references > 1 and self.case is not None):
            raise ValueError(
                f"references must be at least 1, and 1 where a case is named, got {self.references} and {self.case!r}"
            )


INTENSITY_RULES = ("none", "reference")
BLENDINGS = ("soft", "poisson", "none")


@dataclass(frozen=True)
class TransferConfig:
    """The copy of the source tumour into synthetic T2 and its harmonisation: domain B'."""

    intensity: str = "reference"
    """What happens to the copy before the injection. `none`: the paper. `reference`: brought to the mean and spread
    of the tumour in the reference slice, rims left out where `rim_px` is set; the better rule by far on phantoms."""
    injection_scale: int | None = None
    """n*, from 1 on; the coarsest scale, 0, knows noise alone. None: no harmonisation, the copy as it is."""
    structures: tuple[str, ...] = ("vs",)
    rim_px: float = 0.6
    """Standard deviation, in the slice, of the blur that tells how much of the copy's outermost voxels is tumour: by so
    much they have the intensities of the tumour's core, by the rest those of phi0_AB(I). 0: the copy ends with the rim
    that it has on T1, as in the paper."""
    edge_px: float = 1.0
    """Standard deviation of the soft edge of the region that the one-shot model replaces."""
    blending: str = "soft"
    """How the structure goes in. `soft`: its intensities, with a soft edge. `poisson`: its gradients (Pérez et al.
    2003). `none`: not at all, B' is phi0_AB(I). The last two are there for ablations."""

    def __post_init__(self) -> None:
        if self.intensity not in INTENSITY_RULES:
            raise ValueError(f"intensity must be one of {INTENSITY_RULES}, got {self.intensity!r}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {BLENDINGS}, got {self.blending!r}")
        if min(self.rim_px, self.edge_px) < 0:
            raise ValueError(f"rim_px and edge_px must not be negative, got {self.rim_px} and {self.edge_px}")


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


@dataclass(frozen=True)
class SegmenterConfig:
    """nnU-Net on T1, Isensee et al. 2021: its own planning, with what a small machine needs overridden."""

    configuration: str = "3d_fullres"
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Folds to train and to average; empty: one network on all cases."""
    epochs: int = 1000
    iterations_per_epoch: int = 250
    features_base: int | None = None
    """Overrides the channels of the first stage; nnU-Net's own choice where unset."""
    max_features: int | None = None
    """Overrides the most channels of any stage; nnU-Net's own choice where unset."""
    optimiser: str = "sgd"
    """`sgd`: nnU-Net's own (Nesterov momentum 0.99). `adamw`: finds small structures in far fewer iterations."""
    learning_rate: float = 0.01
    """At the start; falls by nnU-Net's polynomial."""
    foreground_share: float = 0.33
    """Share of each batch that is drawn around a structure."""
    gpu_memory_gb: float = 8.0
    """GPU memory that nnU-Net's planner fits patch and batch to."""
    mirror_at_test: bool = True
    tile_step: float = 0.5

    def __post_init__(self) -> None:
        if self.optimiser not in ("sgd", "adamw"):
            raise ValueError(f"optimiser must be 'sgd' or 'adamw', got {self.optimiser!r}")


@dataclass(frozen=True)
class BlendConfig:
    """The arm `blending`: altered tumours in synthetic T2, then self-training. Sallé et al. 2023."""

    small_factors: tuple[float, ...] = (0.6, 0.8, 1.2)
    """What small tumours' intensities on [0, 1] are multiplied by, one copy of the case each."""
    large_factors: tuple[float, ...] = (0.7, 1.2, 1.5)
    """The same for large uneven tumours; others are not copied."""
    large_sd: float = 0.09
    """Standard deviation on [0, 1] above which a large tumour is uneven."""
    cochlea_factors: tuple[float, ...] = ()
    """The same for the cochleae, in copies of their own; the paper has 2, 3 and 4, for a model of the cochlea alone."""
    injection_scale: int = 13
    """n* of the tumour."""
    cochlea_injection_scale: int = 13
    rounds: int = 2
    """Rounds of training on real T2 with the masks of the round before, too."""
    last_on_target: bool = True
    """Whether a last round sees real T2 alone."""

    def __post_init__(self) -> None:
        factors = (*self.small_factors, *self.large_factors, *self.cochlea_factors)
        if self.rounds < 0 or any(factor <= 0 for factor in factors):
            raise ValueError(f"rounds must not be negative and factors be above 0, got {self.rounds} and {factors}")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on, but for where the data lies."""

    name: str
    intended_use: str
    """`phantom` or `challenge`; stands in the bundle."""
    edition: int = 2022
    seed: int = 0
    arms: tuple[str, ...] = ARMS
    precision: str = "auto"
    """Arithmetic of the GAN stages by Lightning Fabric's names (`32-true`, `bf16-mixed`); `auto`: bf16-mixed where the
    device has instructions for it, without which it is ten times slower than 32-true."""
    phantom: PhantomConfig | None = None
    """Where set, the run makes its own data; `edition` and `seed` stand above."""
    prepare: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    cyclegan: CycleGANConfig = field(default_factory=CycleGANConfig)
    singan: SinGANConfig = field(default_factory=SinGANConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    pix2pix: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)

    def __post_init__(self) -> None:
        get_edition(self.edition)
        unknown = set(self.arms) - set(KNOWN_ARMS)
        if unknown:
            raise ValueError(f"arms must be among {KNOWN_ARMS}, got {sorted(unknown)}")
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


def read_config(path: Path) -> RunConfig:
    """The configuration in the YAML file `path`. Raises InputError, naming the file and the key."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    try:
        return build(RunConfig, values, "")
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def build(kind: type, values: object, where: str) -> typing.Any:
    """A dataclass of type `kind` from a mapping. Raises ValueError for an unknown key or a value of another type."""
    if not isinstance(values, dict):
        raise ValueError(f"{where or 'the file'} must be a mapping of keys to values, got {type(values).__name__}")
    hints = typing.get_type_hints(kind)
    values = kind.with_preset(values) if hasattr(kind, "with_preset") else values
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(hints)}"
            raise ValueError(f"unknown key {_join(where, key)!r}{hint}")
    return kind(**{key: _convert(hints[key], value, _join(where, key)) for key, value in values.items()})


def scheduled(own: SinGANConfig, schedule: str) -> SinGANConfig:
    """The configuration `own` with what a schedule decides taken from `schedule`."""
    named = build(SinGANConfig, {"schedule": schedule}, "singan")
    return replace(own, schedule=schedule, **{key: getattr(named, key) for key in set().union(*SCHEDULES.values())})


def _convert(hint: typing.Any, value: object, where: str) -> typing.Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, got {value!r}")
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            raise ValueError(f"{where} must have {len(kinds)} values, got {value!r}")
        return tuple(_convert(kinds[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}")
    return value


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
