"""A predicted mask on its image's grid, where there is no reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.scoring.cases import AlignedPair
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.turning import turned_onto
from vestibule.volume import Volume, read_header, read_labels, read_volume


def read_alone(mask_path: Path, image_path: Path, edition: Edition) -> tuple[AlignedPair, np.ndarray]:
    """Read a mask and its image; the mask is turned onto the image's grid.

    Args:
        mask_path: The predicted mask.
        image_path: The image that was segmented.
        edition: What labels mean; voxels with others are left out, and named.

    Returns:
        The labels beside an empty reference, with what is wrong with the mask; one that cannot be used is empty. And
        the image's voxels (Z, Y, X).

    Raises:
        InputError: The image cannot be read.
    """
    image = read_volume(image_path)
    nothing = np.zeros(image.voxels.shape, dtype=np.uint8)
    try:
        mask = read_onto_image(mask_path, image_path)
    except (InputError, MemoryError) as error:
        # A MemoryError has no text.
        cause = str(error) or f"{mask_path}: does not fit into memory"
        return AlignedPair(nothing, nothing, image.geometry, cause), image.voxels

    problem = None
    foreign = edition.foreign_labels(mask.voxels)
    voxels = mask.voxels
    if foreign:
        shown = ", ".join(f"{value:g}" for value in foreign[:5])
        problem = f"{mask_path}: holds {shown}, which is no label of edition {edition.year}, and is not shown"
        known = np.isin(voxels, edition.labels)
        voxels = np.where(known, voxels, 0)
    labels = np.asarray(voxels, dtype=np.uint8)
    return AlignedPair(labels, nothing, image.geometry, problem), image.voxels


def read_onto_image(mask_path: Path, image_path: Path) -> Volume:
    """The mask with its axes turned onto the image's grid. Raises InputError where it lies on another one."""
    # The header first: it may promise more voxels than the memory holds.
    expected, _ = read_header(image_path)
    found, _ = read_header(mask_path)
    # Sorted, as the axes may be in another order.
    if sorted(found.size_zyx) != sorted(expected.size_zyx):
        raise InputError(
            f"{mask_path}: expected {expected.size_zyx} voxels (z, y, x) as its image has, got {found.size_zyx}"
        )

    mask = turned_onto(read_labels(mask_path), expected)
    if mask is None:
        raise InputError(f"{mask_path}: lies elsewhere than its image; write the mask with the image's geometry")
    return mask
