"""Settings of the choice of post-processing."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one


@dataclass(frozen=True)
class PostprocessingConfig:
    """How masks are made of nnU-Net's output, chosen on the labelled cases that `segmenter.held_back` keeps from it.

    The section is off where it is left out: all folds are averaged, `segmenter.mirror_at_test` holds, all parts stay.
    """

    min_cases: int = 10
    """Held-back cases with a structure, below which nothing is chosen for it."""
    mirroring: bool = True
    """Whether the other answer to `segmenter.mirror_at_test` is tried."""
    single_folds: bool = True
    """Whether each fold alone is tried beside the mean of all."""
    largest: bool = True
    """Whether it is tried to keep only as many of the largest parts as a patient has: one tumour, two cochleae."""
    min_volumes_mm3: tuple[float, ...] = (5.0, 20.0, 50.0)
    """Volumes that are tried, below which a part is dropped, mm³."""

    def __post_init__(self) -> None:
        at_least_one(min_cases=self.min_cases)
        for volume in self.min_volumes_mm3:
            above_zero(min_volumes_mm3=volume)
