"""Whether a structure was found: connected parts of the reference that were met, and of the prediction that are false.

Voxels that share a face, an edge or a corner are connected (26 neighbours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from evaluation.metrics.base import MaskPair, Metric, as_masks
from vestibule.boxes import bounding_box


class Detection(NamedTuple):
    """Connected parts of a structure: how many there are, were found, or are not there at all."""

    components: int
    """Of the reference."""
    found: int
    """Of the reference, with at least one voxel that the prediction has too."""
    false: int
    """Of the prediction, with no voxel that the reference has."""


def detect(prediction_zyx: np.ndarray, reference_zyx: np.ndarray) -> Detection:
    """Count the connected parts of two masks (Z, Y, X) that meet. Raises ValueError for unequal shapes."""
    prediction, reference = as_masks(prediction_zyx, reference_zyx)
    expected, found = _parts(reference, prediction)
    predicted, right = _parts(prediction, reference)
    false = predicted - right
    return Detection(expected, found, false)


def _parts(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many connected parts `mask` has, and how many of them meet `other`."""
    # Labelled in the box that holds them, which is far smaller than the image.
    box = bounding_box(mask)
    if box is None:
        return 0, 0
    inside = mask[box]
    others = other[box]
    if inside.all():
        # Labelling a full box takes longer than to see that it is one.
        return 1, int(others.any())

    neighbours = np.ones((3, 3, 3), dtype=bool)
    parts, total = ndimage.label(inside, neighbours)
    is_met = np.zeros(total + 1, dtype=bool)
    shared_with = parts[others]
    is_met[shared_with] = True
    # Label 0 is what lies around the parts.
    met = np.count_nonzero(is_met[1:])
    return int(total), int(met)


def _detection(pair: MaskPair) -> Detection:
    return detect(pair.prediction, pair.reference)


def _components(pair: MaskPair) -> int:
    detection = pair.shared(_detection)
    return detection.components


def _found(pair: MaskPair) -> int:
    detection = pair.shared(_detection)
    return detection.found


def _false(pair: MaskPair) -> int:
    detection = pair.shared(_detection)
    return detection.false


COMPONENTS = Metric("components", "components", "", 0, None, _components)
COMPONENTS_FOUND = Metric("components_found", "components found", "", 0, True, _found)
COMPONENTS_FALSE = Metric("components_false", "false components", "", 0, False, _false)


def detection_summary(rows: Iterable[Mapping]) -> dict:
    """How often each structure was found.

    `rows` have a key `structure` and one for each metric of this module; a row without them, of scores that somebody
    brought along, is passed over. Returns counts for each structure: of the cases that have it, of those with a
    component found, and of components.
    """
    summary: dict[str, dict[str, int]] = {}
    for row in rows:
        if COMPONENTS.key not in row:
            continue
        structure = row["structure"]
        if structure not in summary:
            summary[structure] = {"cases": 0, "cases_found": 0}
        counts = summary[structure]

        components = row[COMPONENTS.key]
        found = row[COMPONENTS_FOUND.key]
        counts["cases"] += components > 0
        counts["cases_found"] += found > 0
        for metric in (COMPONENTS, COMPONENTS_FOUND, COMPONENTS_FALSE):
            before = counts.get(metric.key, 0)
            counts[metric.key] = before + row[metric.key]
    return summary
