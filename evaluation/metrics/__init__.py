"""How near a mask is to its reference: Dice, surface distances, volume, detection.

`METRICS` names every metric, and is the only place that does: scoring, `cases.csv`, `metrics.json`, Table 1,
statistics, ranking and the report go through it. A further metric is a file that defines it and an entry here.
"""

from __future__ import annotations

from evaluation.metrics.base import MODES, MaskPair, Metric, Mode, check_mode, reported_spacing
from evaluation.metrics.detection import COMPONENTS, COMPONENTS_FALSE, COMPONENTS_FOUND, Detection, detect
from evaluation.metrics.dice import DICE, dice
from evaluation.metrics.surface_distance import (
    ASSD,
    BOUNDARY_ASSD,
    CHALLENGE_EMPTY_MM,
    HD95_DIRECTED,
    HD95_POOLED,
    SurfaceDistances,
    assd,
    empty_distance,
    surface_distances,
)
from evaluation.metrics.volume import REFERENCE_VOLUME, VOLUME, VOLUME_ERROR

__all__ = [
    "CHALLENGE_EMPTY_MM",
    "METRICS",
    "MODES",
    "Detection",
    "MaskPair",
    "Metric",
    "Mode",
    "SurfaceDistances",
    "assd",
    "check_mode",
    "detect",
    "dice",
    "empty_distance",
    "headlines",
    "primary",
    "reported_spacing",
    "surface_distances",
]

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        DICE,
        ASSD,
        HD95_POOLED,
        HD95_DIRECTED,
        VOLUME,
        REFERENCE_VOLUME,
        VOLUME_ERROR,
        COMPONENTS,
        COMPONENTS_FOUND,
        COMPONENTS_FALSE,
        BOUNDARY_ASSD,
    )
}
"""Every metric by its key, in the order of the columns of `cases.csv`. What each holds: `docs/reference/scores.md`."""


def headlines() -> list[Metric]:
    """Metrics of summaries, Table 1, statistics and rankings, in their order."""
    return [metric for metric in METRICS.values() if metric.headline]


def primary() -> Metric:
    """The metric that orders cases from worst to best: the first headline."""
    ranked = headlines()
    return ranked[0]
