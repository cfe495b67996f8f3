"""What every metric shares: the masks that it compares, the two modes, and how a metric is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np

from vestibule.volume import Geometry

Mode = Literal["default", "challenge"]
MODES: tuple[Mode, ...] = ("default", "challenge")
Shared = TypeVar("Shared")


@dataclass(frozen=True, eq=False)
class MaskPair:
    """One structure of one case, predicted and expected: what a metric compares."""

    prediction: np.ndarray
    """Bool (Z, Y, X)."""
    reference: np.ndarray
    """Bool (Z, Y, X), of the same shape."""
    geometry: Geometry
    """Of the whole image; the masks may be a crop of it that holds every structure of the case."""
    mode: Mode = "default"
    parts: tuple[MaskPair, ...] = ()
    """The parts that the structure is made of, where its edition scores some."""
    _known: dict[Callable, Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def prediction_voxels(self) -> int:
        """Voxels that the prediction holds."""
        count = np.count_nonzero(self.prediction)
        return int(count)

    @cached_property
    def reference_voxels(self) -> int:
        """Voxels that the reference holds."""
        count = np.count_nonzero(self.reference)
        return int(count)

    @property
    def has_empty_mask(self) -> bool:
        """Whether prediction or reference holds nothing."""
        fewest = min(self.prediction_voxels, self.reference_voxels)
        return fewest == 0

    @property
    def is_empty(self) -> bool:
        """Whether neither prediction nor reference holds anything."""
        most = max(self.prediction_voxels, self.reference_voxels)
        return most == 0

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        volume = np.prod(self.geometry.spacing_zyx)
        return float(volume)

    @property
    def spacing_zyx(self) -> tuple[float, float, float]:
        """Voxel spacing in mm that distances are measured with, see `reported_spacing`."""
        return reported_spacing(self.geometry, self.mode)

    def shared(self, function: Callable[[MaskPair], Shared]) -> Shared:
        """`function(self)`, computed once however many metrics ask for it."""
        if function in self._known:
            return self._known[function]
        value = function(self)
        self._known[function] = value
        return value


@dataclass(frozen=True)
class Metric:
    """A metric, and all that tables, plots and rankings need to know of it."""

    key: str
    """Its column in `cases.csv` and its name in `metrics.json`; ends with the unit, where there is one."""
    label: str
    """What tables call it, without the unit."""
    unit: str
    """`mm`, `mm³`; empty for a ratio or a count."""
    digits: int
    """Digits after the point in the report."""
    higher_is_better: bool | None
    """None where neither is better, as for a volume."""
    compute: Callable[[MaskPair], float | None]
    """The value; None where the metric does not apply to the structure."""
    when_empty: Callable[[MaskPair], float] | None = None
    """The value where a mask of the pair is empty, by its mode; None where `compute` has one for empty masks too."""
    headline: bool = False
    """Whether it stands in summaries, Table 1, statistics, rankings and the report's plots."""
    in_report: bool = False
    """Whether it has a column in the report's table of cases; headlines have one in any case."""
    note: str = ""
    """What a reader of the report must know of it."""
    limits: tuple[float, float] | None = None
    """Smallest and largest value, the ends of its plot's axis; None for a plot over decades."""
    signed: bool = False
    """Whether it can be below 0; a table with a negative value of any other is refused."""
    good_above: float | None = None
    """Summaries count the cases that are above it."""

    @property
    def title(self) -> str:
        """Label and unit: `ASSD (mm)`."""
        if not self.unit:
            return self.label
        return f"{self.label} ({self.unit})"

    @property
    def count_key(self) -> str:
        """Name of the count of cases above `good_above` in summaries: `over_0_8`; empty where none are counted."""
        if self.good_above is None:
            return ""
        limit = f"{self.good_above:g}"
        # A point in a key would be taken for a path by those who read JSON by paths.
        return "over_" + limit.replace(".", "_")

    def value(self, pair: MaskPair) -> float | None:
        """The metric of `pair`: of `compute`, or of `when_empty` where a mask is empty."""
        if pair.has_empty_mask and self.when_empty is not None:
            return self.when_empty(pair)
        return self.compute(pair)


def check_mode(mode: str) -> Mode:
    """`mode` itself. Raises ValueError where it is not one of `MODES`."""
    for known in MODES:
        if mode == known:
            return known
    known_modes = ", ".join(MODES)
    raise ValueError(f"mode must be one of {known_modes}, got {mode!r}")


def reported_spacing(geometry: Geometry, mode: Mode) -> tuple[float, float, float]:
    """Voxel spacing in mm (z, y, x) that distances are measured with.

    The organisers read it off the affine's diagonal, which is too small for an oblique image; `challenge` does so too.
    """
    if check_mode(mode) == "default":
        return geometry.spacing_zyx
    diagonal_xyz = np.diag(geometry.matrix)
    # A flipped axis has a negative cosine.
    cosines_zyx = np.abs(diagonal_xyz[::-1])
    z, y, x = cosines_zyx * geometry.spacing_zyx
    return float(z), float(y), float(x)


def as_masks(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as bool, true where not zero. Raises ValueError where they are not 3-D or of unequal shapes."""
    prediction = np.asarray(prediction)
    reference = np.asarray(reference)
    shape, other_shape = prediction.shape, reference.shape
    if len(shape) != 3 or shape != other_shape:
        raise ValueError(f"masks must be 3-D and of one shape, got {shape} and {other_shape}")
    return _as_bool(prediction), _as_bool(reference)


def _as_bool(mask: np.ndarray) -> np.ndarray:
    # Without a copy where it is one already: a mask of the challenge holds 31 million voxels.
    if mask.dtype == bool:
        return mask
    return mask != 0
