"""The challenge's ranking: rank each case, structure and metric, then average; and how stable that is.

As the organisers of crossMoDA 2022 published it: teams that tie share the best place; ranks are averaged over metrics
and structures within a case (the case's cumulative rank) and then over cases. Cases are drawn again with replacement,
and Kendall's tau compares each ranking of drawn cases with the full one (after Wiesenfarth et al., "Methods and open
source toolkit for analyzing and visualizing challenge results", Scientific Reports 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from evaluation.metrics import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Field:
    """Scores of every team in every case: the competition that is ranked."""

    teams: tuple[str, ...]
    cases: tuple[str, ...]
    measures: tuple[tuple[str, str], ...]
    """What is ranked: (structure, metric) pairs, such as ("vs", "assd_mm")."""
    scores: np.ndarray
    """(cases, teams, measures), finite."""

    def __post_init__(self) -> None:
        expected = len(self.cases), len(self.teams), len(self.measures)
        if self.scores.shape != expected or 0 in expected:
            raise ValueError(f"scores must be {expected} (cases, teams, measures), none 0, got {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError("scores must be finite; give a missing mask the worst score")


@dataclass(frozen=True)
class Ranking:
    """Teams of a field with their cumulative ranks, and what bootstrapping says of them."""

    field: Field
    ranks: np.ndarray
    """(cases, teams, measures): 1 for the best, the best place shared in a tie."""
    drawn_places: np.ndarray
    """(bootstraps, teams): the place of each team among cases drawn with replacement."""
    taus: np.ndarray
    """(bootstraps,): Kendall's tau of each drawn ranking against the full one."""

    @property
    def cumulative(self) -> np.ndarray:
        """Cumulative rank of each team, (teams,)."""
        return self.ranks.mean(axis=2).mean(axis=0)

    @property
    def places(self) -> np.ndarray:
        """Place of each team from 1, (teams,), ties sharing the best."""
        return places_of(self.cumulative)

    @property
    def order(self) -> np.ndarray:
        """Indices of the teams from best to worst; teams that tie stand by name."""
        return np.lexsort((np.array(self.field.teams), self.cumulative))

    def cumulative_over(self, part: str) -> np.ndarray:
        """Cumulative rank of each team over one structure or one metric alone, (teams,).

        Raises ValueError where the field has no such structure or metric.
        """
        chosen = [index for index, measure in enumerate(self.field.measures) if part in measure]
        if not chosen:
            raise ValueError(f"expected a structure or metric of {self.field.measures}, got {part!r}")
        return self.ranks[:, :, chosen].mean(axis=(0, 2))


def rank(field: Field, bootstraps: int = 1000, generator: np.random.Generator | None = None) -> Ranking:
    """Rank `field`, and again for `bootstraps` draws of its cases.

    `generator` draws the cases; by default one with seed 0, so that a ranking can be repeated.
    """
    generator = generator or np.random.default_rng(0)
    higher = np.array([metric in HIGHER_IS_BETTER for _, metric in field.measures])
    losses = np.where(higher, -field.scores, field.scores)
    ranks = np.stack([places_of(losses[:, :, index]) for index in range(len(field.measures))], axis=2)
    by_case = ranks.mean(axis=2)
    cases = len(field.cases)
    drawn = generator.integers(0, cases, (bootstraps, cases))
    times = np.stack([np.bincount(draw, minlength=cases) for draw in drawn]) if bootstraps else np.empty((0, cases))
    # Rounded, so that teams that tie are not told apart by the order in which their ranks are added.
    drawn_places = places_of(np.round(times @ by_case / cases, 9))
    full = places_of(by_case.mean(axis=0))
    taus = np.array([kendalltau(full, places).statistic for places in drawn_places])
    # Where all teams tie there is no order to compare.
    return Ranking(field, ranks, drawn_places, np.nan_to_num(taus, nan=1.0))


def places_of(losses: np.ndarray) -> np.ndarray:
    """Place from 1 of each loss among those along the last axis, ties sharing the best: (..., N) -> (..., N) int."""
    return 1 + (losses[..., None, :] < losses[..., :, None]).sum(axis=-1)
