"""Tumours of pseudo-labels brought to the edges that the image shows.

A segmenter that has learnt from translations finds a tumour, but not where it ends. What is well inside its mask and
what is well outside are certain; each voxel between them belongs to the side that a random walker, who rarely steps
across an edge of the image, reaches first: Grady, Random Walks for Image Segmentation, TPAMI 2006.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import random_walker

from training.harmonisers.compositing import IN_PLANE_CROSS, core_of
from training.pseudo_labels.relabel import with_tumour
from vestibule.boxes import bounding_box, widened
from vestibule.editions import TUMOUR, Edition

INSIDE, OUTSIDE = 1, 2
"""Seeds of the random walker."""
BAND = 2
"""Voxels outside a mask, in plane, that may be the tumour's. Our choice."""
MARGIN = 4
"""Voxels beyond the band that the random walker sees."""
MOST_CHANGE = 2.0
"""Factor of the volume above which the edges are not believed: a small tumour that nothing bounds. Our choice."""


def tumour_to_its_edges(
    image: np.ndarray, labels: np.ndarray, spacing_zyx: tuple[float, float, float], edition: Edition
) -> np.ndarray:
    """Labels whose tumour ends at the image's edges, where they are near.

    A voxel inside the mask that touches its surface, in plane, and up to `BAND` voxels outside are decided anew. A
    piece that has no other voxels stays inside. A tumour whose volume would change by more than a factor of
    `MOST_CHANGE` stays as it is.

    Args:
        image: T2 in [-1, 1], (Z, Y, X).
        labels: Of the same shape; other structures keep their voxels.
        spacing_zyx: Of both, in mm.
        edition: What labels mean. Where it has parts of a tumour, a new voxel joins the part that is nearest.

    Returns:
        New labels, of the same shape and type.
    """
    tumour = edition.mask_of(labels, TUMOUR)
    may_be = ndimage.binary_dilation(tumour, IN_PLANE_CROSS, iterations=BAND)
    box = bounding_box(may_be)
    if box is None:
        return labels.copy()
    seen = widened(box, (MARGIN,) * 3, labels.shape)
    seeds = np.zeros(labels[seen].shape, dtype=np.uint8)
    seeds[_core_of(tumour[seen])] = INSIDE
    seeds[~may_be[seen] | ((labels[seen] != 0) & ~tumour[seen])] = OUTSIDE
    finest = min(spacing_zyx)
    steps = [each / finest for each in spacing_zyx]
    sides = random_walker(image[seen].astype(np.float64), seeds, mode="bf", spacing=steps)

    found = np.zeros_like(tumour)
    found[seen] = sides == INSIDE
    change = found.sum() / tumour.sum()
    if not 1 / MOST_CHANGE <= change <= MOST_CHANGE:
        return labels.copy()
    return with_tumour(labels, found, edition)


def _core_of(tumour: np.ndarray) -> np.ndarray:
    """Voxels of a mask that do not touch its surface in plane, and all of a piece that has no such voxel."""
    core = core_of(tumour)
    pieces, _ = ndimage.label(tumour)
    with_core = np.unique(pieces[core])
    return core | (tumour & ~np.isin(pieces, with_core))
