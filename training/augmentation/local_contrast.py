"""Random intensity of tumour and cochlea, patch by patch: a translated image has their usual intensity, a real one not.

Offline, copies with half the tumour's signal raised a team's Dice from 0.722 to 0.838 (crossMoDA 2021); online, factors
of 1.2 to 2 for the tumour and 0.5 to 1 for the cochlea are part of the winning entry of 2023 (Vandy365).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform
from scipy.ndimage import gaussian_filter

from training.config import LocalContrastConfig
from vestibule.editions import COCHLEA, TUMOUR, Edition


@dataclass(frozen=True)
class Change:
    """What happens to one structure of a patch."""

    values: tuple[int, ...]
    """The structure's label values."""
    factor: float
    """What its intensities are multiplied by, counted from `origin`."""
    origin: float
    """The intensity that stays."""
    pattern: np.ndarray | None
    """Deviation of each voxel's factor from `factor`, as a share of it, float32 (Z, Y, X) or (Y, X); None: none."""


class LocalContrast(ImageOnlyTransform):
    """The transform as nnU-Net calls it: samples changes for a patch, then applies them."""

    def __init__(self, config: LocalContrastConfig, edition: Edition) -> None:
        """Factors and chances from the configuration, the structures' labels from the edition."""
        super().__init__()
        self._config = config
        self._edition = edition

    def get_parameters(self, **data_dict: torch.Tensor) -> dict:
        """The patch's segmentation, and the changes that are sampled for it."""
        # By way of NumPy's global generator, which is seeded for each batch in each process that loads them: one that
        # is kept here would give the same numbers in all processes, and others in a training that goes on.
        seed = np.random.randint(2**31)
        generator = np.random.default_rng(seed)
        image = data_dict["image"][0].numpy()
        changes = sample_changes(image, self._config, self._edition, generator)
        return {"segmentation": data_dict["segmentation"], "changes": changes}

    def _apply_to_image(self, img: torch.Tensor, **params: Any) -> torch.Tensor:
        image = img[0].numpy()  # (Z, Y, X) or (Y, X)
        segmentation = params["segmentation"][0].numpy()
        changed = apply_changes(image, segmentation, params["changes"])
        with_channel = changed[np.newaxis]
        return torch.from_numpy(with_channel)


def sample_changes(
    image: np.ndarray, config: LocalContrastConfig, edition: Edition, generator: np.random.Generator
) -> list[Change]:
    """Sample what happens to the structures of a patch.

    Args:
        image: The patch, as nnU-Net normalises it, float32 (Z, Y, X) or (Y, X).
        config: Factors and chances.
        edition: What labels mean.
        generator: Where the random numbers come from.

    Returns:
        A change for each structure that is not left as it is.
    """
    # nnU-Net's normalisation makes the image's mean 0.
    origin = 0.0
    if config.origin == "darkest":
        origin = float(image.min())
    ranges = {TUMOUR: config.tumour_factors, COCHLEA: config.cochlea_factors}
    changes = []
    for structure, factors in ranges.items():
        if factors is None or structure not in edition.structures:
            continue
        if generator.random() >= config.probability:
            continue
        low, high = factors
        factor = generator.uniform(low, high)
        pattern = None
        if config.unevenness:
            smooth = _smooth_noise(image.shape, config.grain_vox, generator)
            pattern = smooth * config.unevenness
        values = edition.values_of(structure)
        change = Change(values, factor, origin, pattern)
        changes.append(change)
    return changes


def apply_changes(image: np.ndarray, segmentation: np.ndarray, changes: list[Change]) -> np.ndarray:
    """A patch with the changes in it.

    Args:
        image: Float32 (Z, Y, X) or (Y, X).
        segmentation: Labels of the same shape; -1 outside of the case.
        changes: What happens to which labels.

    Returns:
        Float32 of the same shape, bit-identical outside of the changed structures.
    """
    changed = image.copy()
    for change in changes:
        inside = np.isin(segmentation, change.values)
        factors = np.float32(change.factor)
        if change.pattern is not None:
            deviation = change.pattern[inside]
            # A factor below 0 would turn dark into bright.
            factors = factors * np.maximum(1 + deviation, 0)
        above_origin = image[inside] - change.origin
        changed[inside] = change.origin + factors * above_origin
    return changed


def with_local_contrast(transforms: ComposeTransforms, contrast: LocalContrast) -> ComposeTransforms:
    """nnU-Net's training transforms with `contrast` among them: behind what moves voxels, before noise and the like."""
    spatial = (SpatialTransform, Convert2DTo3DTransform)
    steps: list[BasicTransform] = list(transforms.transforms)
    place = 0
    for number, step in enumerate(steps):
        if isinstance(step, spatial):
            place = number + 1
    steps.insert(place, contrast)
    return ComposeTransforms(steps)


def _smooth_noise(shape: tuple[int, ...], sigma_vox: float, generator: np.random.Generator) -> np.ndarray:
    """A random pattern of mean 0 and standard deviation 1, float32 of `shape`."""
    noise = generator.standard_normal(shape, dtype=np.float32)
    smooth = gaussian_filter(noise, sigma_vox, mode="wrap")
    centred = smooth - smooth.mean()
    sd = float(centred.std())
    # A patch of one voxel has no pattern.
    return centred / max(sd, 1e-6)
