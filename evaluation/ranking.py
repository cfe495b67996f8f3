"""The challenge's ranking: rank each case, structure and metric, then average; and how stable that is.

As the organisers of crossMoDA 2022 published it: teams that tie share the best place; ranks are averaged over metrics
and structures within a case (the case's cumulative rank) and then over cases. Cases are sampled again with replacement,
and Kendall's tau compares each ranking of sampled cases with the full one (after Wiesenfarth et al., "Methods and open
source toolkit for analyzing and visualizing challenge results", Scientific Reports 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from evaluation.metrics import METRICS


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
        expected = (len(self.cases), len(self.teams), len(self.measures))
        if self.scores.shape != expected or 0 in expected:
            raise ValueError(f"scores must be {expected} (cases, teams, measures), none 0, got {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError("scores must be finite; give a missing mask the worst score")
        for _, metric in self.measures:
            if metric not in METRICS or METRICS[metric].higher_is_better is None:
                raise ValueError(f"expected metrics of which more or less is better, got {metric!r}")


@dataclass(frozen=True)
class Ranking:
    """Teams of a field with their cumulative ranks, and what bootstrapping says of them."""

    field: Field
    ranks: np.ndarray
    """(cases, teams, measures): 1 for the best, the best place shared in a tie."""
    sampled_places: np.ndarray
    """(bootstraps, teams): the place of each team among cases sampled with replacement."""
    taus: np.ndarray
    """(bootstraps,): Kendall's tau of each sampled ranking against the full one."""

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
    """Rank `field`, and again for `bootstraps` samples of its cases, taken with replacement.

    `generator` samples the cases; by default one with seed 0, so that a ranking can be repeated.
    """
    generator = generator or np.random.default_rng(0)
    higher = np.array([METRICS[metric].higher_is_better for _, metric in field.measures])
    losses = np.where(higher, -field.scores, field.scores)  # (cases, teams, measures)
    by_measure = [places_of(losses[:, :, index]) for index in range(len(field.measures))]
    ranks = np.stack(by_measure, axis=2)  # (cases, teams, measures)
    by_case = ranks.mean(axis=2)  # (cases, teams)
    cases = len(field.cases)

    # How often each case was sampled weighs its ranks: one matrix product in place of a gather for each bootstrap.
    sampled = generator.integers(0, cases, (bootstraps, cases))
    times = np.zeros((bootstraps, cases))
    for bootstrap, chosen in enumerate(sampled):
        times[bootstrap] = np.bincount(chosen, minlength=cases)
    # Rounded, so that teams that tie are not told apart by the order in which their ranks are added.
    sampled_means = np.round(times @ by_case / cases, 9)  # (bootstraps, teams)
    sampled_places = places_of(sampled_means)

    full = places_of(by_case.mean(axis=0))
    taus = np.array([kendalltau(full, places).statistic for places in sampled_places])
    # Where all teams tie there is no order to compare.
    return Ranking(field, ranks, sampled_places, np.nan_to_num(taus, nan=1.0))


def places_of(losses: np.ndarray) -> np.ndarray:
    """Place from 1 of each loss among those along the last axis, ties sharing the best: (..., N) -> (..., N) int."""
    others = losses[..., None, :]
    own = losses[..., :, None]
    better = others < own  # (..., N, N)
    return 1 + better.sum(axis=-1)


def as_document(ranking: Ranking) -> dict:
    """A ranking for JSON: `ranking` from best to worst, `kendall_tau`, and what was ranked."""
    field = ranking.field
    # Structures and metrics by name, each once, in the order in which the measures name them.
    parts = {}
    for structure, metric in field.measures:
        parts[structure] = ranking.cumulative_over(structure)
        parts[metric] = ranking.cumulative_over(metric)
    places = ranking.places
    cumulative = ranking.cumulative
    teams = []
    for index in ranking.order:
        means = {}
        for number, (structure, metric) in enumerate(field.measures):
            means[f"{structure}_{metric}"] = float(field.scores[:, index, number].mean())
        team = {
            "team": field.teams[index],
            "place": int(places[index]),
            "cumulative_rank": float(cumulative[index]),
            "cumulative_rank_of": {name: float(values[index]) for name, values in parts.items()},
            "mean": means,
        }
        if len(ranking.taus):
            sampled = ranking.sampled_places[:, index]
            low, high = np.percentile(sampled, [2.5, 97.5], method="nearest")
            first = (sampled == 1).mean()
            team["bootstrap"] = {"place_95": [int(low), int(high)], "first": float(first)}
        teams.append(team)
    document = {"ranking": teams, "cases": len(field.cases), "bootstraps": len(ranking.taus)}
    if len(ranking.taus):
        low, middle, high = np.percentile(ranking.taus, [2.5, 50, 97.5])
        mean = float(ranking.taus.mean())
        document["kendall_tau"] = {"mean": mean, "median": float(middle), "95": [float(low), float(high)]}
    return document
