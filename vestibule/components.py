"""Which connected parts of a predicted structure stay: the largest few, or those above a volume. No mask is emptied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label as label_components

from vestibule.boxes import bounding_box
from vestibule.editions import Edition

MAX_PARTS = 1000
"""Most parts that a rule may ask for: more than any structure has."""


@dataclass(frozen=True)
class ComponentRule:
    """What stays of a structure. Its largest part always does."""

    most: int | None = None
    """So many of the largest parts; None: any number."""
    min_mm3: float = 0.0
    """Parts of at least this volume, mm³."""

    def __post_init__(self) -> None:
        most = self.most
        # Python takes true for the integer 1.
        is_possible = isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= MAX_PARTS
        if most is not None and not is_possible:
            raise ValueError(f"most must be a whole number from 1 to {MAX_PARTS} or null, got {most!r}")

        volume = self.min_mm3
        is_number = isinstance(volume, int | float) and not isinstance(volume, bool)
        # Asked so that NaN is refused too.
        if not is_number or not 0 <= volume < np.inf:
            raise ValueError(f"min_mm3 must be a number of mm³, got {volume!r}")


def keep_components(
    labels: np.ndarray, rules: Mapping[str, ComponentRule], edition: Edition, voxel_mm3: float
) -> np.ndarray:
    """Labels without the parts of structures that the rules drop.

    Args:
        labels: (Z, Y, X), any integer type.
        rules: By structure; others stay as they are.
        edition: What labels mean.
        voxel_mm3: Volume of a voxel.

    Returns:
        Labels of the same shape and type, with 0 in place of what is dropped; `labels` itself where nothing is.

    Raises:
        ValueError: A rule is for a structure that the edition does not have.
    """
    for structure, rule in rules.items():
        whole = edition.mask_of(labels, structure)
        box = bounding_box(whole)
        if box is None:
            continue
        dropped = _dropped(whole[box], rule, voxel_mm3)
        if not dropped.any():
            continue
        # What was given stays as it is.
        labels = labels.copy()
        labels[box][dropped] = 0
    return labels


def _dropped(mask: np.ndarray, rule: ComponentRule, voxel_mm3: float) -> np.ndarray:
    """Voxels of a mask (Z, Y, X) that is not empty, in parts that the rule drops."""
    parts, count = label_components(mask)
    # Part 0 is what does not belong to the structure.
    voxels = np.bincount(parts.ravel())
    volumes_mm3 = voxels[1:] * voxel_mm3
    # Largest first; of equal ones, the first that was found.
    order = np.argsort(-volumes_mm3, kind="stable")

    by_part = np.zeros(count, dtype=bool)
    for rank, part in enumerate(order):
        is_among_largest = rule.most is None or rank < rule.most
        is_large = volumes_mm3[part] >= rule.min_mm3
        by_part[part] = is_among_largest and is_large
    # No mask is emptied.
    largest = order[0]
    by_part[largest] = True

    stays = np.append(False, by_part)
    kept = stays[parts]
    return mask & ~kept


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask (Z, Y, X) bool; nothing where there is nothing."""
    parts, count = label_components(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    # Part 0 is what does not belong to the mask.
    sizes = np.bincount(parts.ravel())[1:]
    largest = 1 + int(sizes.argmax())
    return parts == largest
