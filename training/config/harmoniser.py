"""What the settings of every harmoniser have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HarmoniserSettings:
    """Base of the settings of a harmoniser: the section `harmoniser` is of the class that its `kind` has."""

    kind: str
    """Which of `training.harmoniser_table.HARMONISERS` it is."""
