"""Which pseudo-labels are learnt from, how much each counts, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.config import SelfTrainingConfig
from training.data.slices import UNKNOWN_SITE, PreparedCase
from training.pseudo_labels.agreement import Overlaps, agreement_of
from training.pseudo_labels.anatomy import Limits, faults_of, missing_structures, volumes_mm3
from training.pseudo_labels.masks import Found
from vestibule.editions import Edition

LEAST_WEIGHT = 0.05
"""Of a mask that is kept, whatever its agreement: it is sampled now and then."""


@dataclass(frozen=True)
class Judged:
    """A pseudo-label and what is thought of it."""

    case: PreparedCase
    """The image, with the mask in place of any label."""
    volumes_mm3: dict[str, float]
    """Volume of each structure."""
    overlaps: Overlaps
    """Dice with each view, by structure."""
    agreement: float | None
    """What the overlaps come to; None without views."""
    faults: tuple[str, ...]
    """What speaks against it, in words."""
    missing: bool
    """Whether a structure is not there at all."""
    kept: bool
    """Whether it is learnt from."""
    reason: str = ""
    """Why it is dropped, or kept in spite of its faults."""
    weight: float = 1.0
    """How often it is sampled, relative to a synthetic image."""

    @property
    def site(self) -> str:
        """The image's site."""
        return self.case.site or UNKNOWN_SITE

    @property
    def rank(self) -> tuple[int, float]:
        """The better the mask, the smaller: by the number of faults, then by disagreement."""
        agreement = 1.0 if self.agreement is None else self.agreement
        return len(self.faults), -agreement


def judge(found: Found, overlaps: Overlaps, settings: SelfTrainingConfig, limits: Limits, edition: Edition) -> Judged:
    """Judge a mask by itself, whatever the others of its site are like.

    Args:
        found: The mask.
        overlaps: Its overlaps with what other views have found.
        settings: What is asked of it.
        limits: Volumes that structures can have.
        edition: What labels mean.

    Returns:
        The mask with its verdict; every one that is kept counts as much.
    """
    faults = []
    agreement = agreement_of(overlaps)
    if agreement is not None and agreement < settings.min_agreement:
        faults.append(f"agreement {agreement:.2f} is below {settings.min_agreement:g}")
    if settings.anatomy:
        faults += faults_of(found, edition, limits)
    missing = missing_structures(found.case, edition, limits)
    return Judged(
        case=found.case,
        volumes_mm3=volumes_mm3(found.case, edition),
        overlaps=overlaps,
        agreement=agreement,
        faults=tuple(faults),
        missing=bool(missing),
        kept=not faults,
        reason="; ".join(faults),
    )


def with_every_site(judged: Sequence[Judged], share: float) -> list[Judged]:
    """Keep at least a share of each site's masks, rounded up: of those that would be dropped, the best.

    Args:
        judged: Masks of all sites.
        share: From 0 to 1.

    Returns:
        The same masks in the same order; those that are kept for their site's sake say so.
    """
    by_site: dict[str, list[Judged]] = {}
    for one in judged:
        by_site.setdefault(one.site, []).append(one)

    spared: set[str] = set()
    for of_site in by_site.values():
        kept = sum(one.kept for one in of_site)
        wanted = math.ceil(share * len(of_site))
        # A mask without a tumour would teach that there is none.
        others = [one for one in of_site if not one.kept and not one.missing]
        others.sort(key=_rank)
        spare = max(0, wanted - kept)
        spared.update(one.case.name for one in others[:spare])

    result = []
    for one in judged:
        if one.case.name not in spared:
            result.append(one)
            continue
        place = f"site {one.site}" if one.site else "the site"
        reason = f"kept all the same, since {place} keeps {share:.0%}: {one.reason}"
        result.append(replace(one, kept=True, reason=reason))
    return result


def weighted_by_agreement(judged: Sequence[Judged]) -> list[Judged]:
    """The same masks, each with its agreement as its weight; those that nothing was compared with stay as they are."""
    weighted = []
    for one in judged:
        weight = one.weight
        if one.agreement is not None:
            weight = max(one.agreement, LEAST_WEIGHT)
        weighted.append(replace(one, weight=weight))
    return weighted


def _rank(one: Judged) -> tuple[int, float]:
    return one.rank
