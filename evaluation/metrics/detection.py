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
    total, found = _parts(reference, prediction)
    predicted_total, met = _parts(prediction, reference)
    return Detection(total, found, predicted_total - met)


def _parts(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many connected parts `mask` has, and how many of them meet `other`."""
    # Labelled in the box that holds them, which is far smaller than the image.
    box = bounding_box(mask)
    if box is None:
        return 0, 0
    inside, others = mask[box], other[box]
    if inside.all():
        return 1, int(others.any())
    parts, total = ndimage.label(inside, np.ones((3, 3, 3), dtype=bool))
    met = np.zeros(total + 1, dtype=bool)
    met[parts[others]] = True
    return int(total), int(np.count_nonzero(met[1:]))


def _detection(pair: MaskPair) -> Detection:
    return detect(pair.prediction, pair.reference)


def _components(pair: MaskPair) -> int:
    return pair.shared(_detection).components


def _found(pair: MaskPair) -> int:
    return pair.shared(_detection).found


def _false(pair: MaskPair) -> int:
    return pair.shared(_detection).false


COMPONENTS = Metric("components", "components", "", 0, None, _components)
COMPONENTS_FOUND = Metric("components_found", "components found", "", 0, True, _found)
COMPONENTS_FALSE = Metric("components_false", "false components", "", 0, False, _false)


def detection_summary(rows: Iterable[Mapping]) -> dict:
    """How often each structure was found.

    `rows` have a key `structure` and one for each metric of this module. Returns counts for each structure: of the
    cases that have it, of those with a component found, and of components.
    """
    summary: dict[str, dict[str, int]] = {}
    for row in rows:
        components, found, false = (row[metric.key] for metric in (COMPONENTS, COMPONENTS_FOUND, COMPONENTS_FALSE))
        counts = summary.setdefault(
            row["structure"],
            {"cases": 0, "cases_found": 0, COMPONENTS.key: 0, COMPONENTS_FOUND.key: 0, COMPONENTS_FALSE.key: 0},
        )
        counts["cases"] += components > 0
        counts["cases_found"] += found > 0
        counts[COMPONENTS.key] += components
        counts[COMPONENTS_FOUND.key] += found
        counts[COMPONENTS_FALSE.key] += false
    return summary
