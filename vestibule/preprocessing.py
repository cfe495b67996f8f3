"""From a scanner's image to the grid the networks work on, and back; training and the container share every step.

What the data does on its way: reorient to LPS axes (exact), find the region of interest in plane, resample it in plane
to the working spacing (slices stay as acquired), scale intensities to [-1, 1]. On the way back, class probabilities are
resampled to the input's own grid and the likeliest class is taken there, so that the mask has exactly its geometry.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from vestibule.boxes import bounding_box
from vestibule.errors import InputError
from vestibule.region import find_ears
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, reorient

logger = logging.getLogger(__name__)

CENTRES = ("head", "bright")
MAX_SIDE = 1024
"""Longest side of the region of interest in working voxels."""
LARGER = 2
"""How many times as wide and long the region becomes where it cannot be found: a head fits into it wherever it lies."""

SAME_SPACING = 0.01
"""Voxels that two grids may come apart over the region's width, and have the same spacing all the same."""

CLEAR_OF_EDGE = 1e-4
"""Voxels by which a label must lie within the region to count as held by it."""


@dataclass(frozen=True)
class PreprocessingConfig:
    """The working grid and the intensity scale; travels with the weights."""

    spacing_yx_mm: tuple[float, float] = (1.2, 1.2)
    """Working voxel size in plane, mm. London's hrT2 images have 0.5."""
    size_yx: tuple[int, int] = (96, 96)
    """Region of interest, working voxels: divisible by 4 and by the generators' strides. Zhu et al. 2017 and Isola et
    al. 2017 have 256 x 256."""
    percentiles: tuple[float, float] = (0.5, 99.8)
    """Percentiles of the region's intensities that become -1 and +1; what lies outside is clipped. Our choice."""
    centre: str = "head"
    """Where the region lies. `head`: around both inner ears, found by the outline of the head. `bright`: around the
    mean position of bright voxels, as in the method's successor."""
    roi_percentile: float = 75.0
    """With `bright`, voxels brighter than this percentile count."""
    target_percentiles: tuple[float, float] | None = field(default=None, metadata={"added": True})
    """As `percentiles`, for T2 alone; `null`: as T1. The method's successor clips T2 at 95 where it alters cochleae,
    which then are as bright as it gets."""

    @classmethod
    def from_bundle(cls, values: dict) -> PreprocessingConfig:
        """The configuration in a bundle's manifest; `bright` was the only rule where it names none."""
        settings: dict[str, Any] = {"centre": "bright"}
        for key, value in values.items():
            # JSON has no tuples.
            settings[key] = tuple(value) if isinstance(value, list) else value
        return cls(**settings)

    def __post_init__(self) -> None:
        if self.centre not in CENTRES:
            raise ValueError(f"centre must be one of {CENTRES}, got {self.centre!r}")
        for size in self.size_yx:
            if size < 8 or size % 4:
                raise ValueError(
                    f"size_yx must be at least 8 and divisible by 4 (two stride-2 stages), got {self.size_yx}"
                )
            if not isinstance(size, int) or size > MAX_SIDE:
                raise ValueError(f"size_yx must be whole numbers up to {MAX_SIDE}, got {self.size_yx}")
        for step in self.spacing_yx_mm:
            # Asked so that NaN is refused too.
            if not 0 < step < np.inf:
                raise ValueError(f"spacing_yx_mm must be positive, got {self.spacing_yx_mm}")
        for low, high in (self.percentiles, self.percentiles_of_target):
            if not 0 <= low < high <= 100:
                raise ValueError(f"percentiles must rise within 0 to 100, got ({low}, {high})")

    @property
    def percentiles_of_target(self) -> tuple[float, float]:
        """Percentiles of a T2 image that become -1 and +1."""
        return self.target_percentiles or self.percentiles


def to_working(
    volume: Volume, config: PreprocessingConfig, keep: Volume | None = None, is_target: bool = True
) -> Volume:
    """Bring a volume to the working grid around its region of interest.

    Args:
        volume: A scanner's image.
        config: The working grid and the intensity scale.
        keep: Labels that must lie in the region.
        is_target: Whether the image is T2, whose intensities may have a scale of their own.

    Returns:
        float32 (Z, Y, X) in [-1, 1].

    Raises:
        InputError: The region holds a single intensity.
    """
    oriented = reorient(volume)
    geometry = working_geometry(oriented, config, keep)
    cropped = resample(oriented, geometry)
    percentiles = config.percentiles_of_target if is_target else config.percentiles
    unit = scale_to_unit(cropped.voxels, percentiles)
    return cropped.with_voxels(unit)


def working_geometry(oriented: Volume, config: PreprocessingConfig, keep: Volume | None = None) -> Geometry:
    """The working grid of a volume: its own slices, and in plane the region of interest.

    Where the ears are not found, or the region would cut labels of `keep` off, a region `LARGER` times as wide and long
    lies around the image's middle, and a warning says so.

    Args:
        oriented: An LPS-oriented image.
        config: Size, spacing and place of the region.
        keep: Labels that must lie in the region.

    Returns:
        The grid.
    """
    centre_yx: tuple[float, float] | None
    if config.centre == "bright":
        centre_yx = bright_centre(oriented.voxels, config.roi_percentile)
    else:
        centre_yx = find_ears(oriented)

    cause = "no outline of a head seen, or its back is cut off"
    if centre_yx is not None:
        geometry = region_around(
            oriented.geometry,
            centre_yx,
            config.size_yx,
            config.spacing_yx_mm,
        )
        if keep is None or _holds(geometry, keep):
            return geometry
        cause = "labels lie outside of the region around the ears"

    rows, columns = config.size_yx
    larger_yx = (LARGER * rows, LARGER * columns)
    logger.warning(
        "%s: %s; a region of %d x %d voxels around the image's middle is taken",
        oriented.name,
        cause,
        *larger_yx,
    )
    _, size_y, size_x = oriented.geometry.size_zyx
    middle_yx = ((size_y - 1) / 2, (size_x - 1) / 2)
    return region_around(oriented.geometry, middle_yx, larger_yx, config.spacing_yx_mm)


def region_around(
    geometry: Geometry, centre_yx: tuple[float, float], size_yx: tuple[int, int], spacing_yx_mm: tuple[float, float]
) -> Geometry:
    """The slices of `geometry` with other voxels in plane.

    Along an axis on which both have the same spacing, the region's voxels are some of the image's own. Between them, an
    image is interpolated, and a label, which is rounded, would lie up to half a voxel beside it.

    Args:
        geometry: The grid of an image.
        centre_yx: Where the middle of the region lies, in voxels of the image.
        size_yx: Voxels of the region.
        spacing_yx_mm: Their spacing.

    Returns:
        The grid of the region.
    """
    slices = geometry.size_zyx[0]
    spacing_z, *image_spacing_yx = geometry.spacing_zyx
    # The region's first voxel in voxels of the image, half the region before its middle.
    first_yx = []
    for centre, size, wanted, spacing in zip(centre_yx, size_yx, spacing_yx_mm, image_spacing_yx, strict=True):
        half = (size - 1) / 2 * wanted / spacing
        first = centre - half
        if size * abs(wanted / spacing - 1) < SAME_SPACING:
            first = round(first)
        first_yx.append(first)
    first_y, first_x = first_yx
    origin_xyz = geometry.to_patient(np.array([first_x, first_y, 0.0]))
    return Geometry(
        size_zyx=(slices, *size_yx),
        spacing_zyx=(spacing_z, *spacing_yx_mm),
        origin_xyz=tuple(origin_xyz.tolist()),
        direction=geometry.direction,
    )


def _holds(geometry: Geometry, mask: Volume) -> bool:
    """Whether the middle of every labelled voxel lies within the grid's rows and columns."""
    box = bounding_box(mask.voxels)
    if box is None:
        return True
    part = mask.part(box)
    labelled_xyz = np.argwhere(part.voxels)[:, ::-1]  # (N, 3)
    patient_xyz = part.geometry.to_patient(labelled_xyz)
    index_xy = geometry.to_index(patient_xyz)[:, :2]

    # Half a voxel beyond the middle of the outermost one, and clear of the edge, which is not told by rounding.
    _, size_y, size_x = geometry.size_zyx
    last_xy = np.array([size_x, size_y]) - 0.5
    within = (index_xy > CLEAR_OF_EDGE - 0.5) & (index_xy < last_xy - CLEAR_OF_EDGE)
    return bool(within.all())


def bright_centre(voxels: np.ndarray, percentile: float) -> tuple[float, float]:
    """Mean (y, x) in voxels of what is brighter than `percentile` in `voxels` (Z, Y, X).

    As the crop of the method's successor (crossMoDA 2022) is centred. Where nothing is brighter, the image's centre.
    """
    bright = voxels > np.percentile(voxels, percentile)
    per_yx = bright.sum(axis=0, dtype=np.int64)  # (Y, X)
    total = per_yx.sum()
    size_y, size_x = per_yx.shape
    if total == 0:
        return (size_y - 1) / 2, (size_x - 1) / 2
    per_y = per_yx.sum(axis=1)
    per_x = per_yx.sum(axis=0)
    mean_y = per_y @ np.arange(size_y) / total
    mean_x = per_x @ np.arange(size_x) / total
    return float(mean_y), float(mean_x)


def scale_to_unit(voxels: np.ndarray, percentiles: tuple[float, float]) -> np.ndarray:
    """`voxels` scaled so that the two percentiles become -1 and +1, clipped, float32.

    Raises InputError where the two percentiles coincide.
    """
    low, high = np.percentile(voxels, percentiles)
    # Percentiles that coincide would stretch noise to a full image.
    if not high > low:
        raise InputError(f"the region of interest holds a single intensity ({low:g}); expected an image of a head")
    scaled = np.subtract(voxels, low, dtype=np.float32)
    # In place, since a volume of the challenge has 31 million voxels.
    scaled *= np.float32(2.0 / (high - low))
    scaled -= 1
    return np.clip(scaled, -1, 1, out=scaled)


def labels_to_original(probabilities: np.ndarray, working: Geometry, original: Volume | Geometry) -> Volume:
    """The likeliest class on an image's own grid; outside the working grid all is background.

    Args:
        probabilities: Of each class, background first (C, Z, Y, X) on the working grid.
        working: The working grid.
        original: The image, or its grid.

    Returns:
        Labels uint8 (Z, Y, X) on the image's grid.
    """
    geometry = original.geometry if isinstance(original, Volume) else original
    labels = np.zeros(geometry.size_zyx, dtype=np.uint8)
    background = Volume(probabilities[0].astype(np.float32), working)
    best = resample(background, geometry, outside=1.0, smooth=False).voxels
    # One class after the other: all of them at the image's size would need memory for each.
    for value, voxels in enumerate(probabilities[1:], start=1):
        if not voxels.any():
            continue
        channel = Volume(voxels.astype(np.float32), working)
        probability = resample(channel, geometry, outside=0.0, smooth=False).voxels
        # As on the way here, a label is kept where it fills half.
        wins = (probability >= best) & (probability > 0)
        labels[wins] = value
        np.maximum(best, probability, out=best)
    return Volume(labels, geometry)


def mask_to_working(mask: Volume, working: Geometry) -> np.ndarray:
    """A label volume on the working grid, uint8 (Z, Y, X): each label is averaged, and kept where it fills half."""
    result = np.zeros(working.size_zyx, dtype=np.uint8)
    best = np.full(working.size_zyx, 0.5, dtype=np.float32)
    for value, box in enumerate(ndimage.find_objects(mask.voxels), start=1):
        if box is None:
            continue
        # Half filled is nothing beyond the label's own box; a few voxels more, and its edge is an edge.
        surroundings = mask.geometry.box_around(mask.geometry.part(box), (3, 3, 3))
        if surroundings is None:
            continue
        part = mask.part(surroundings)
        indicator = (part.voxels == value).astype(np.float32)
        share = reorient(part.with_voxels(indicator))
        around = working.box_around(share.geometry, (0, 0, 0))
        if around is None:
            continue
        filled = resample(share, working.part(around), outside=0.0).voxels

        # Views: what is written to them is written to the whole.
        result_there, best_there = result[around], best[around]
        wins = filled >= best_there
        result_there[wins] = value
        best_there[wins] = filled[wins]
    return result
