"""What the nnU-Net plans of a bundle may ask for: networks and helpers from a list, in sizes that fit a machine.

A bundle may come from anyone, and nnU-Net imports and calls whatever its plans name. So what it would call is looked up
here, where nothing is imported, before nnU-Net sees the plans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vestibule.errors import InputError

NETWORKS = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": "n_conv_per_stage",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": "n_blocks_per_stage",
}
"""Networks that are built, each with its name for the depth of an encoder's stages."""
MODULES = {
    "conv_op": ("torch.nn.modules.conv.Conv2d", "torch.nn.modules.conv.Conv3d"),
    "norm_op": (
        "torch.nn.modules.instancenorm.InstanceNorm2d",
        "torch.nn.modules.instancenorm.InstanceNorm3d",
        "torch.nn.modules.batchnorm.BatchNorm2d",
        "torch.nn.modules.batchnorm.BatchNorm3d",
        None,
    ),
    "dropout_op": ("torch.nn.modules.dropout.Dropout2d", "torch.nn.modules.dropout.Dropout3d", None),
    "nonlin": (
        "torch.nn.LeakyReLU",
        "torch.nn.ReLU",
        "torch.nn.modules.activation.LeakyReLU",
        "torch.nn.modules.activation.ReLU",
        None,
    ),
}
"""Arguments of a network that nnU-Net imports, with what each may name."""
MODULE_OPTIONS = frozenset({"affine", "eps", "inplace", "momentum", "negative_slope", "p", "track_running_stats"})
"""Options of those modules; each is a number, true, false or null."""
RESAMPLERS = ("resample_data_or_seg_to_shape", "resample_torch_fornnunet")
RESAMPLER_OPTIONS = frozenset(
    {
        "force_separate_z",
        "is_seg",
        "memefficient_seg_resampling",
        "order",
        "order_z",
        "separate_z_anisotropy_threshold",
    }
)
NORMALISATIONS = ("ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization")
SWITCHES = ("conv_bias", "deep_supervision", "nonlin_first")
"""Arguments of a network that are true or false."""

MAX_STAGES = 12
MAX_FEATURES = 2048
MAX_DEPTH = 32
"""Most convolutions or blocks of one stage."""
MAX_KERNEL = 11
MAX_STRIDE = 8
MAX_SIDE = 4096
"""Longest side of a patch in voxels."""
MAX_FEATURE_VALUES = 1 << 29
"""Most values of the features of a patch in one stage: 2 GiB of them. nnU-Net's largest have half as many."""
SPACING_MM = (0.05, 50.0)
"""Spacings that images may be resampled to; a smaller one would make an image of any size."""
MAX_CLASSES = 32


@dataclass(frozen=True)
class _Values:
    """An object of a document, whose values are refused by their names where they are not as expected."""

    path: Path
    values: dict

    def get(self, key: str) -> Any:
        """The value of `key`; None where there is none."""
        return self.values.get(key)

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise InputError for the value of `key`."""
        value = self.get(key)
        raise InputError(f"{self.path}: {key} must be {expected}, got {value!r:.80}")

    def inner(self, key: str) -> _Values:
        """The object that is the value of `key`."""
        value = self.get(key)
        if not isinstance(value, dict):
            self.refuse(key, "an object")
        return _Values(self.path, value)

    def named(self, key: str, names: Sequence[str | bool | None]) -> Any:
        """The value of `key`, which must be one of `names`."""
        value = self.get(key)
        # In a list, where what is looked for needs no hash.
        if value not in list(names):
            known = ", ".join(map(str, names))
            self.refuse(key, f"one of {known}")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        """The value of `key`, a whole number from `low` to `high`."""
        value = self.get(key)
        if not _is_whole(value, low, high):
            self.refuse(key, f"a whole number from {low} to {high}")
        return value

    def items(self, key: str, count: int) -> list:
        """The value of `key`, a list of `count` entries."""
        value = self.get(key)
        if not isinstance(value, list) or len(value) != count:
            self.refuse(key, f"a list of {count}")
        return value

    def wholes(self, key: str, count: int, low: int, high: int) -> list[int]:
        """The value of `key`, a list of `count` whole numbers from `low` to `high`."""
        entries = self.items(key, count)
        for entry in entries:
            if not _is_whole(entry, low, high):
                self.refuse(key, f"a list of {count} whole numbers from {low} to {high}")
        return entries

    def sides(self, key: str, stages: int, dimensions: int, high: int) -> list[list[int]]:
        """The value of `key`: for each stage, whole numbers from 1 to `high`, one for each dimension."""
        entries = self.items(key, stages)
        for entry in entries:
            stage = _Values(self.path, {key: entry})
            stage.wholes(key, dimensions, 1, high)
        return entries

    def options(self, key: str, known: frozenset[str]) -> None:
        """The value of `key`, null or an object of `known` options that are numbers, true, false or null."""
        if self.get(key) is None:
            return
        for name, setting in self.inner(key).values.items():
            if name not in known:
                listed = ", ".join(sorted(known))
                self.refuse(key, f"an object of {listed}")
            if not isinstance(setting, bool | int | float | None):
                self.refuse(key, "an object of numbers, true, false and null")


def check_plans(path: Path, plans: dict, configuration: str) -> None:
    """Refuse plans that would have nnU-Net call what is no known part of it, or build what fits no machine.

    Args:
        path: Their file, for the message.
        plans: As nnU-Net writes them.
        configuration: The one that is to be used.

    Raises:
        InputError: Naming the key, what it may be and what it is.
    """
    whole_plans = _Values(path, plans)
    for key in ("transpose_forward", "transpose_backward"):
        axes = whole_plans.wholes(key, 3, 0, 2)
        if sorted(axes) != [0, 1, 2]:
            whole_plans.refuse(key, "an order of the axes 0, 1 and 2")
    # nnU-Net takes its own where none is named.
    if "label_manager" in plans:
        whole_plans.named("label_manager", ["LabelManager"])

    chosen = _resolved(whole_plans, configuration)
    chosen.named("preprocessor_name", ["DefaultPreprocessor"])
    if chosen.get("previous_stage") is not None:
        chosen.refuse("previous_stage", "left out, as a cascade is not run")
    (scheme,) = chosen.items("normalization_schemes", 1)
    if scheme not in list(NORMALISATIONS):
        known = ", ".join(NORMALISATIONS)
        chosen.refuse("normalization_schemes", f"one of {known}")
    for kind in ("data", "seg", "probabilities"):
        key = f"resampling_fn_{kind}"
        chosen.named(key, RESAMPLERS)
        chosen.options(f"{key}_kwargs", RESAMPLER_OPTIONS)

    architecture = chosen.inner("architecture")
    _check_modules(architecture)
    _check_sizes(chosen, architecture)


def check_dataset(path: Path, dataset: dict) -> None:
    """Refuse an nnU-Net dataset of several channels, or of labels that are no plain numbers. Raises InputError."""
    description = _Values(path, dataset)
    channels = description.inner("channel_names")
    if len(channels.values) != 1:
        description.refuse("channel_names", "one channel")

    labels = description.inner("labels")
    count = len(labels.values)
    if not 2 <= count <= MAX_CLASSES:
        description.refuse("labels", f"2 to {MAX_CLASSES} classes")
    for name in labels.values:
        labels.whole(name, 0, 255)


def _resolved(plans: _Values, configuration: str) -> _Values:
    """A configuration with what it inherits, as nnU-Net puts it together."""
    configurations = plans.inner("configurations")
    resolved: dict = {}
    seen: list[str] = []
    name = configuration
    while True:
        asked = _Values(plans.path, {"configuration": name})
        asked.named("configuration", list(configurations.values))
        if name in seen:
            asked.refuse("configuration", "another than what inherits from it")
        seen.append(name)

        # What stands nearer to the configuration itself goes before what it inherits.
        own = configurations.inner(name)
        resolved = own.values | resolved
        if own.get("inherits_from") is None:
            return _Values(plans.path, resolved)
        name = own.get("inherits_from")


def _check_modules(architecture: _Values) -> None:
    """Refuse a network that is not listed, and whatever else nnU-Net would import for it."""
    network = architecture.named("network_class_name", list(NETWORKS))
    arguments = architecture.inner("arch_kwargs")
    imported = architecture.get("_kw_requires_import")
    if not isinstance(imported, list) or sorted(map(str, imported)) != sorted(MODULES):
        expected = ", ".join(MODULES)
        architecture.refuse("_kw_requires_import", f"a list of {expected}")

    known = {"n_stages", "features_per_stage", "kernel_sizes", "strides"}
    known |= {NETWORKS[network], "n_conv_per_stage_decoder"}
    for key in SWITCHES:
        known.add(key)
        if key in arguments.values:
            arguments.named(key, [True, False])
    for key, names in MODULES.items():
        known.add(key)
        arguments.named(key, names)
        # A convolution's options are arguments of the network itself.
        if key != "conv_op":
            known.add(f"{key}_kwargs")
            arguments.options(f"{key}_kwargs", MODULE_OPTIONS)
    for key in arguments.values:
        if key not in known:
            arguments.refuse(key, "left out, as the network has no such argument")


def _check_sizes(chosen: _Values, architecture: _Values) -> None:
    """Refuse a network, or a patch, beyond the limits."""
    arguments = architecture.inner("arch_kwargs")
    convolution = arguments.get("conv_op")
    dimensions = 2 if convolution.endswith("2d") else 3
    stages = arguments.whole("n_stages", 2, MAX_STAGES)
    features = arguments.wholes("features_per_stage", stages, 1, MAX_FEATURES)
    depth_key = NETWORKS[architecture.get("network_class_name")]
    arguments.wholes(depth_key, stages, 1, MAX_DEPTH)
    arguments.wholes("n_conv_per_stage_decoder", stages - 1, 1, MAX_DEPTH)
    arguments.sides("kernel_sizes", stages, dimensions, MAX_KERNEL)
    strides = arguments.sides("strides", stages, dimensions, MAX_STRIDE)

    lowest_mm, highest_mm = SPACING_MM
    for step in chosen.items("spacing", dimensions):
        is_number = isinstance(step, int | float)
        if not is_number or not lowest_mm <= step <= highest_mm:
            chosen.refuse("spacing", f"{lowest_mm} to {highest_mm} mm")

    # A patch, and how large its features are on the way down.
    patch = chosen.wholes("patch_size", dimensions, 1, MAX_SIDE)
    voxels = float(math.prod(patch))
    for width, stride in zip(features, strides, strict=True):
        voxels /= math.prod(stride)
        if voxels * width > MAX_FEATURE_VALUES:
            chosen.refuse("patch_size", f"such that {width} features of it fit into 2 GiB")


def _is_whole(value: object, low: int, high: int) -> bool:
    """Whether `value` is a whole number from `low` to `high`."""
    # Python takes true for 1.
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return low <= value <= high
