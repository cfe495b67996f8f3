"""What speaks against an image and against its mask, told without a reference; a prediction warns of it.

An image is held against what every T2 image of a head has. What is held against a mask is what the challenge's data
rules out or nearly so: a tumour and two cochleae in every patient, one tumour, volumes as published, all of it inside
the head.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vestibule.boxes import bounding_box
from vestibule.editions import Anatomy, Edition
from vestibule.geometry import settled
from vestibule.head import head_outline
from vestibule.region import find_ears
from vestibule.volume import Geometry, Volume, reorient

LEAST_CORRELATION = 0.5
"""Of neighbouring voxels. In images of tissue it is above 0.8, in noise and in shuffled voxels about 0."""
BRAIN_MM = (-10.0, 40.0, 25.0)
"""Brainstem and cerebellum: from 10 mm in front of the middle between the ears to 40 mm behind it, and 25 mm to each
side. No fat and no large vein lies there, so that what is brighter than brain is fluid, or a tumour."""
FLUID_PERCENTILE = 95.0
"""More than a twentieth of that part is fluid, and less of it a tumour."""
FLUID_TO_BRAIN = 1.7
"""Least brightness of that percentile beside the median. Measured on images of both contrasts: 2.1 and more on T2, 1.4
and less on T1; 1.7 is the middle of both by their ratio."""
BOTH_SIDES_MM = 30.0
"""Least extent from left to right of two cochleae. One is about 10 mm long; two lie twice as far apart as this."""
SIDE_SHARE = 0.2
"""A side with less than this share of the cochleae's volume is as good as missing: the two of a head are alike."""
MOST_VOXELS = 8 << 20
"""Of a structure that is looked at further. A large tumour has a tenth of that in the finest images; to look at the
parts of a mask that fills the head would take memory and minutes, and tell nothing."""
CONNECTIVITY = np.ones((3, 3, 3))
"""Voxels that touch by a corner are of one part."""


def screen_prediction(image: Volume, mask: Volume, edition: Edition, name: str = "the mask") -> list[str]:
    """What speaks against a mask that was just predicted, and against the image that it was made from.

    Args:
        image: The image (Z, Y, X), as it was read.
        mask: Its mask, on the same grid.
        edition: What its labels mean.
        name: What reasons call the mask's file.

    Returns:
        Reasons, none where nothing speaks against either.
    """
    reasons = screen_image(image)
    of_mask, _ = screen_labels(mask, edition, inside_head(image), name)
    return reasons + of_mask


def screen_image(image: Volume) -> list[str]:
    """What speaks against `image` being a T2 image of a head that shows both ears; nothing where nothing does.

    Which slices it has is not looked at: a mask without ears tells it.
    """
    oriented = reorient(image)
    voxels = oriented.voxels.astype(np.float32, copy=False)
    oriented = oriented.with_voxels(voxels)

    correlation = _neighbours_correlation(voxels)
    if correlation < LEAST_CORRELATION:
        return [f"the image looks like noise: neighbouring voxels have a correlation of {correlation:.2f}"]
    middle_yx = find_ears(oriented)
    if middle_yx is None:
        return ["the image shows no outline of a head, or its back is cut off"]

    ratio = _fluid_to_brain(oriented, middle_yx)
    if ratio < FLUID_TO_BRAIN:
        return [
            f"the image does not look like T2: between the ears the brightest twentieth is {ratio:.1f} times as bright "
            f"as the median, where fluid on T2 is at least {FLUID_TO_BRAIN}"
        ]
    return []


def screen_labels(
    mask: Volume, edition: Edition, head_zyx: np.ndarray | None = None, name: str = "the mask"
) -> tuple[list[str], dict[str, float]]:
    """What speaks against labels, and the volume of each structure.

    Args:
        mask: Labels (Z, Y, X).
        edition: What they mean.
        head_zyx: The head (Z, Y, X) bool on the same grid, where there is an image.
        name: What reasons call the mask's file.

    Returns:
        Reasons, none where nothing speaks against the mask, and volumes in mm3.
    """
    reasons: list[str] = []
    foreign = edition.foreign_labels(mask.voxels)
    if foreign:
        # A mask that is no mask at all may hold thousands.
        first = foreign[:5]
        shown = ", ".join(f"{value:g}" for value in first)
        reasons.append(f"{name} holds {shown}; edition {edition.year} knows {edition.labels}")

    volumes: dict[str, float] = {}
    voxel_mm3 = _voxel_mm3(mask.geometry)
    for structure in edition.structures:
        voxels = edition.mask_of(mask.voxels, structure)  # (Z, Y, X)
        count = int(np.count_nonzero(voxels))
        volumes[structure] = count * voxel_mm3

        anatomy = edition.anatomy_of(structure)
        found = _structure_reasons(anatomy, voxels, mask.geometry, head_zyx)
        # Named by its structure, as one mask may fail in several.
        reasons += [f"{structure}: {reason}" for reason in found]
    return reasons, volumes


def inside_head(image: Volume) -> np.ndarray:
    """Voxels (Z, Y, X) bool between tissue along a row or a column of their slice, so that air in the head is in it.

    The head is `head_outline`'s, coarse: enough to see that a mask lies in the air. All of an image without contrast is
    inside.
    """
    head, steps = head_outline(image, "points")  # (z, y, x) of coarse voxels
    if not head.any():
        return np.ones(image.voxels.shape, dtype=bool)

    # Within slices alone: the first and the last slice may cut the head off.
    across_slices = int(np.argmax(settled(image.geometry.spacing_zyx)))
    for axis in range(3):
        if axis == across_slices:
            continue
        before = np.maximum.accumulate(head, axis=axis)
        from_the_end = np.maximum.accumulate(np.flip(head, axis), axis=axis)
        behind = np.flip(from_the_end, axis)
        head = head | (before & behind)

    # Back onto the image's voxels; the last block may reach beyond them.
    for axis, (step, size) in enumerate(zip(steps, image.voxels.shape, strict=True)):
        repeated = np.repeat(head, step, axis=axis)
        head = repeated.take(np.arange(size), axis=axis)
    return head  # (Z, Y, X) of the image


def _structure_reasons(anatomy: Anatomy, voxels: np.ndarray, geometry: Geometry, head: np.ndarray | None) -> list[str]:
    """What speaks against one structure's voxels (Z, Y, X) bool, as far as its anatomy is known."""
    box = bounding_box(voxels)
    if box is None:
        return ["empty"]
    inside = voxels[box]
    count = np.count_nonzero(inside)
    reasons = []

    if count > MOST_VOXELS:
        return [f"{count} voxels, which is no part of an ear"]
    if anatomy.volume_mm3 is not None:
        low, high = anatomy.volume_mm3
        volume = count * _voxel_mm3(geometry)
        if not low <= volume <= high:
            reasons.append(f"{volume:.0f} mm3; labels of the challenge have {low:.0f} to {high:.0f}")
        if anatomy.components is not None:
            reasons += _component_reasons(inside, anatomy.components, low, geometry)

    if anatomy.components == 2:
        corner_zyx = [part.start for part in box]
        reasons += _side_reasons(inside, corner_zyx, geometry)

    # Half, as the coarse head may miss its own rim.
    if head is not None:
        in_head = np.count_nonzero(voxels & head)
        if in_head * 2 < count:
            reasons.append("most of it lies outside the head")
    return reasons


def _component_reasons(inside: np.ndarray, expected: int, least_mm3: float, geometry: Geometry) -> list[str]:
    """Whether there is more than `expected` connected parts of a structure whose volume is at least `least_mm3`."""
    parts, count = ndimage.label(inside, CONNECTIVITY)
    voxels_each = np.bincount(parts[inside])[1:]  # without the background
    largest_first = np.sort(voxels_each)[::-1]
    sizes_mm3 = largest_first * _voxel_mm3(geometry)
    further = sizes_mm3[expected:]
    beyond = float(further.sum())

    # As much as a part can be: less is crumbs, which cost a score little.
    least_of_a_part = least_mm3 / expected
    if beyond < least_of_a_part:
        return []

    largest = "largest" if expected == 1 else f"largest {expected}"
    return [f"{count} parts, {beyond:.0f} mm3 beyond the {largest}"]


def _side_reasons(inside: np.ndarray, corner_zyx: list[int], geometry: Geometry) -> list[str]:
    """Whether a pair of structures is there on both sides of the patient, whatever the direction of the axes."""
    indices_zyx = np.argwhere(inside) + corner_zyx  # (voxels, 3)
    points_mm = geometry.to_patient(indices_zyx[:, ::-1])  # (voxels, 3), x towards the patient's left
    left = points_mm[:, 0]
    # Two specks of one cochlea are no pair, however well they balance.
    if np.ptp(left) < BOTH_SIDES_MM:
        return ["on one side only"]

    middle = (left.min() + left.max()) / 2
    left_share = float(np.mean(left > middle))
    right_share = 1 - left_share
    least = min(left_share, right_share)
    if least >= SIDE_SHARE:
        return []

    side = "left" if left_share < 0.5 else "right"
    return [f"nearly missing on the {side}, {least:.0%} of its volume"]


def _voxel_mm3(geometry: Geometry) -> float:
    return float(np.prod(geometry.spacing_zyx))


def _neighbours_correlation(voxels: np.ndarray) -> float:
    """Pearson correlation of voxels (Z, Y, X) with their neighbours, along the axis where it is highest."""
    # A million pairs tell as much as all, of which there may be hundreds of millions.
    step = max(1, int((voxels.size / 1e6) ** 0.5))
    found = []
    for axis in range(3):
        lines = np.moveaxis(voxels, axis, 0)[:, ::step, ::step]
        near = lines[:-1].ravel()
        far = lines[1:].ravel()
        # A slice alone at either end may be constant.
        if near.std() > 0 and far.std() > 0:
            found.append(float(np.corrcoef(near, far)[0, 1]))
    return max(found, default=0.0)


def _fluid_to_brain(oriented: Volume, middle_yx: tuple[float, float]) -> float:
    """How many times as bright as brain the fluid around the brainstem is, above the air's brightness."""
    _, spacing_y, spacing_x = oriented.geometry.spacing_zyx
    middle_y, middle_x = middle_yx
    front_mm, back_mm, side_mm = BRAIN_MM
    first_y = max(0, round(middle_y + front_mm / spacing_y))
    stop_y = max(first_y + 1, round(middle_y + back_mm / spacing_y))
    first_x = max(0, round(middle_x - side_mm / spacing_x))
    stop_x = max(first_x + 1, round(middle_x + side_mm / spacing_x))

    air = np.percentile(oriented.voxels, 1)
    part = oriented.voxels[:, first_y:stop_y, first_x:stop_x] - air  # (Z, y, x)
    # Half of the mean lies between air and the dimmest tissue; slices beyond the head hold air alone.
    tissue = part[part > 0.5 * part.mean()]
    if tissue.size == 0:
        return 0.0
    brain, fluid = np.percentile(tissue, (50.0, FLUID_PERCENTILE))
    return float(fluid / brain)
