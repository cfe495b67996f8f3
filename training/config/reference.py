"""Settings of the reference slice: the one slice of T2 that the one-shot model learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceConfig:
    """The slice (or slices) of T2 whose look the harmoniser learns."""

    case: str | None = None
    """Case of the reference slice; without it one is chosen at random among labelled target slices with a tumour."""
    slice: int | None = None
    """Index of the reference slice (z of the prepared volume)."""
    count: int = 1
    """Slices, of as many cases, that a harmoniser is trained on each; the source cases go through them in turn."""
    min_tumour_px: int = 40
    """A slice that is chosen at random shows at least so many tumour pixels."""
    crop_px: int | None = 64
    """Side of the crop around the reference tumour; the whole slice where unset."""

    def __post_init__(self) -> None:
        if self.count < 1 or (self.count > 1 and self.case is not None):
            raise ValueError(
                f"count must be at least 1, and 1 where a case is named, got {self.count} and {self.case!r}"
            )
