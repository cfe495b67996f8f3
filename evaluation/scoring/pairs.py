"""A case to score: its reference, and its prediction where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """One case: its reference, and its prediction or why there is none."""

    case: str
    reference_path: Path
    prediction_path: Path | None
    problem: str | None = None
    notes: tuple[str, ...] = ()
    """What else is worth knowing of where the prediction comes from."""

    def without_prediction(self, cause: str) -> Pair:
        """This case with its prediction given up, and why."""
        return replace(self, prediction_path=None, problem=f"{self.prediction_path}: {cause}")
