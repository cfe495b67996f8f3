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
        cases, teams, measures = len(self.cases), len(self.teams), len(self.measures)
        expected = (cases, teams, measures)
        if self.scores.shape != expected or 0 in expected:
            # Nothing can be said of no cases, and the mean over none is no number.
            raise ValueError(f"scores must be {expected} (cases, teams, measures), none 0, got {self.scores.shape}")
        is_finite = np.isfinite(self.scores)
        if not is_finite.all():
            raise ValueError("scores must be finite; give a missing mask the worst score")

        for _, key in self.measures:
            metric = METRICS.get(key)
            # A volume, say, has no better end.
            if metric is None or metric.higher_is_better is None:
                raise ValueError(f"expected metrics of which more or less is better, got {key!r}")


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
        by_case = self.ranks.mean(axis=2)  # (cases, teams)
        return by_case.mean(axis=0)

    @property
    def places(self) -> np.ndarray:
        """Place of each team from 1, (teams,), ties sharing the best."""
        return places_of(self.cumulative)

    @property
    def order(self) -> np.ndarray:
        """Indices of the teams from best to worst; teams that tie stand by name."""
        names = np.array(self.field.teams)
        # The last key counts first.
        return np.lexsort((names, self.cumulative))

    def cumulative_over(self, part: str) -> np.ndarray:
        """Cumulative rank of each team over one structure or one metric alone, (teams,).

        Raises ValueError where the field has no such structure or metric.
        """
        measures = self.field.measures
        chosen = []
        for index, measure in enumerate(measures):
            if part in measure:
                chosen.append(index)
        if not chosen:
            raise ValueError(f"expected a structure or metric of {measures}, got {part!r}")
        own = self.ranks[:, :, chosen]  # (cases, teams, chosen measures)
        return own.mean(axis=(0, 2))


def rank(field: Field, bootstraps: int = 1000, generator: np.random.Generator | None = None) -> Ranking:
    """Rank `field`, and again for `bootstraps` samples of its cases, taken with replacement.

    `generator` samples the cases; by default one with seed 0, so that a ranking can be repeated.
    """
    generator = generator or np.random.default_rng(0)
    cases = len(field.cases)

    # Less is better from here on.
    higher = np.array([METRICS[metric].higher_is_better for _, metric in field.measures])
    losses = np.where(higher, -field.scores, field.scores)  # (cases, teams, measures)
    ranks = np.empty(losses.shape, dtype=int)
    for index in range(len(field.measures)):
        ranks[:, :, index] = places_of(losses[:, :, index])
    by_case = ranks.mean(axis=2)  # (cases, teams)

    # How often each case was sampled weighs its ranks: one matrix product in place of a gather for each bootstrap.
    sampled = generator.integers(0, cases, (bootstraps, cases))  # indices of cases
    times = np.zeros((bootstraps, cases))
    for bootstrap, chosen in enumerate(sampled):
        times[bootstrap] = np.bincount(chosen, minlength=cases)

    # Rounded, so that teams that tie are not told apart by the order in which their ranks are added.
    sampled_means = np.round(times @ by_case / cases, 9)  # (bootstraps, teams)
    sampled_places = places_of(sampled_means)  # (bootstraps, teams)

    cumulative = by_case.mean(axis=0)  # (teams,)
    full = places_of(cumulative)
    taus = np.ones(bootstraps)
    # One team has no order.
    if len(field.teams) > 1:
        for bootstrap, places in enumerate(sampled_places):
            taus[bootstrap] = kendalltau(full, places).statistic
    # Where all teams tie there is no order to compare, and no disagreement.
    taus = np.nan_to_num(taus, nan=1.0)
    return Ranking(field, ranks, sampled_places, taus)


def places_of(losses: np.ndarray) -> np.ndarray:
    """Place from 1 of each loss among those along the last axis, ties sharing the best: (..., N) -> (..., N) int."""
    others = losses[..., None, :]  # (..., 1, N)
    own = losses[..., :, None]  # (..., N, 1)
    better = others < own  # (..., N, N)
    count = better.sum(axis=-1)
    return 1 + count


def as_document(ranking: Ranking) -> dict:
    """A ranking for JSON: `ranking` from best to worst, `kendall_tau`, and what was ranked."""
    field = ranking.field
    has_bootstraps = len(ranking.taus) > 0

    # Structures and metrics by name, each once, in the order in which the measures name them.
    parts = {}
    for measure in field.measures:
        for part in measure:
            parts[part] = ranking.cumulative_over(part)
    places = ranking.places
    cumulative = ranking.cumulative

    teams = []
    for index in ranking.order:
        own_ranks = {part: float(ranks[index]) for part, ranks in parts.items()}
        own_means = {}
        for number, (structure, metric) in enumerate(field.measures):
            scores = field.scores[:, index, number]  # (cases,)
            own_means[f"{structure}_{metric}"] = float(scores.mean())
        team = {
            "team": field.teams[index],
            "place": int(places[index]),
            "cumulative_rank": float(cumulative[index]),
            "cumulative_rank_of": own_ranks,
            "mean": own_means,
        }
        if has_bootstraps:
            sampled = ranking.sampled_places[:, index]  # (bootstraps,)
            # A place that was taken, not one between two.
            low, high = np.percentile(sampled, [2.5, 97.5], method="nearest")
            first = (sampled == 1).mean()
            team["bootstrap"] = {
                "place_95": [int(low), int(high)],
                "first": float(first),
            }
        teams.append(team)

    document = {
        "ranking": teams,
        "cases": len(field.cases),
        "bootstraps": len(ranking.taus),
    }
    if has_bootstraps:
        low, middle, high = np.percentile(ranking.taus, [2.5, 50, 97.5])
        mean = ranking.taus.mean()
        document["kendall_tau"] = {
            "mean": float(mean),
            "median": float(middle),
            "95": [float(low), float(high)],
        }
    return document
