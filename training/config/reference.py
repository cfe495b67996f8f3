"""Settings of the reference slice: the one slice of T2 that the one-shot model learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceConfig:
    """The slice (or slices) of T2 whose look the harmoniser learns."""

    case: str | None = None
    """Case of the reference slice. Without it, a slice is chosen at random among labelled T2 slices with a tumour."""
    slice: int | None = None
    """Index of the reference slice in the prepared volume, counted from 0, from the feet upwards."""
    count: int = 1
    """Number of reference slices, of as many cases, where `case` is not set. A harmoniser is trained on each; the T1
    cases go through them in turn. The paper has 1."""
    min_tumour_px: int = 40
    """A slice that is chosen at random shows at least so many tumour pixels. Our choice."""
    crop_px: int | None = 64
    """Side of the crop around the labelled tumour, working voxels; `null`, as in the paper: the whole slice. Without a
    label, the whole slice is used."""

    def __post_init__(self) -> None:
        if self.count < 1 or (self.count > 1 and self.case is not None):
            raise ValueError(
                f"count must be at least 1, and 1 where a case is named, got {self.count} and {self.case!r}"
            )
