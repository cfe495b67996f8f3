"""Limits that settings of several topics share."""

from __future__ import annotations

from typing import Any


def at_least_one(**values: int | None) -> None:
    """Raise ValueError for the first of `values` that is below 1; one that is unset passes."""
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def above_zero(**values: float) -> None:
    """Raise ValueError for the first of `values` that is not above 0."""
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def not_negative(**values: float) -> None:
    """Raise ValueError for the first of `values` that is below 0."""
    for name, value in values.items():
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def share(**values: float) -> None:
    """Raise ValueError for the first of `values` that is not from 0 to 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value}")


def sheets_are_random(settings: Any, *_: Any) -> bool:
    """Whether sample sheets use up random numbers of the training, so that their interval changes its result.

    Args:
        settings: Of a CycleGAN or of pix2pix, with `generator` and `average`.

    Returns:
        True where the generator itself is shown and has dropout; a running mean of its weights is shown without.
    """
    return settings.generator.dropout > 0 and settings.average == 0
