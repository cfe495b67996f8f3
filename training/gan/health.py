"""Whether a discriminator still teaches its generator, by its losses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

ROWS = 5
"""Rows of the losses that are looked at together."""
AT_ZERO = 0.01
"""A discriminator whose loss stays below this tells every fake, and its gradient vanishes. In the phantom run's
trainings the largest of five rows was never below 0.16."""
FLAT = 0.002
"""A discriminator whose loss varies by less than this share answers the same to every slice. In the phantom run's
trainings five rows never varied by less than 0.04 of their mean."""
DISCRIMINATOR = "discriminator"
"""How the names of its losses begin."""


class DiscriminatorWatch:
    """Sees the rows of a training's losses, and tells of a discriminator that has collapsed, once each."""

    def __init__(self, losses: Iterable[str]) -> None:
        """Nothing has been seen yet; of `losses`, those of discriminators are watched."""
        self._rows: dict[str, deque[float]] = {}
        for name in losses:
            if name.startswith(DISCRIMINATOR):
                self._rows[name] = deque(maxlen=ROWS)
        self._told: set[str] = set()

    def see(self, values: dict[str, float]) -> list[str]:
        """Look at the next row.

        Args:
            values: Losses by name, means over an interval.

        Returns:
            What to warn of; nothing in most cases.
        """
        warnings = []
        for name, rows in self._rows.items():
            rows.append(values[name])
            fault = _fault_of(rows)
            if fault and name not in self._told:
                self._told.add(name)
                warnings.append(f"the loss {name!r} {fault}")
        return warnings


def _fault_of(rows: deque[float]) -> str | None:
    """What is wrong with the last rows of a discriminator's loss; None where nothing is."""
    if len(rows) < ROWS:
        return None
    highest, lowest = max(rows), min(rows)
    if highest < AT_ZERO:
        return f"has been below {AT_ZERO} for {ROWS} rows: the discriminator tells every fake, and teaches no more"
    mean = sum(rows) / ROWS
    if highest - lowest < FLAT * mean:
        return f"has been {mean:.4g} for {ROWS} rows: the discriminator answers the same to every slice"
    return None
