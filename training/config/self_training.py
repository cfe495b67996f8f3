"""Settings of self-training that trusts some of its masks."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.arms import BLENDING, DIRECT
from training.config.checks import at_least_one, not_negative, share

SELF_TRAINED = (DIRECT.segmenter.name, BLENDING.segmenter.name)
"""Stages whose nnU-Net sees synthetic T2, so that it can label real T2."""


@dataclass(frozen=True)
class SelfTrainingConfig:
    """Rounds of nnU-Net on its own masks of real T2, of which those are kept that can be trusted.

    The section is off where it is left out: the arm `blending` has the rounds of `augment` and keeps every mask, and
    the arm `direct` has no rounds.
    """

    stages: tuple[str, ...] = SELF_TRAINED
    """Stages whose nnU-Net is trained so."""
    rounds: int = 2
    """Rounds of training on synthetic T2 and on real T2 with the masks of the round before. It stands for
    `augment.rounds`, too, as the next two do for the keys of the same name."""
    last_on_target: bool = True
    """Whether a last round sees real T2 alone."""
    last_epochs: int | None = None
    """Epochs of that last round; `null`: as many as the others."""
    folds: bool = True
    """Whether agreement is measured with the mask of each fold alone, where there are several."""
    mirrored: bool = True
    """Whether agreement is measured with the mask of the mirrored image."""
    translators: bool = True
    """Whether agreement is measured with the mask of the image that one CycleGAN has made T1 of and the other one T2
    again, where there is a `second_cyclegan`."""
    min_agreement: float = 0.6
    """Dice below which a mask is dropped: the mean over the masks that it is compared with, of its worst structure. 0:
    no mask is dropped for it. Our choice."""
    anatomy: bool = True
    """Whether a mask is dropped whose tumour is in pieces, whose cochleae are on one side, or whose volumes are beyond
    those of the labelled T1 cases."""
    volume_margin: float = 1.5
    """Factor by which a volume may lie below the smallest or above the largest of the labelled T1 cases."""
    site_share: float = 0.5
    """Share of each site's images that are kept at least, the best first, so that no site is lost. A mask that lacks a
    structure is never kept for it."""
    weighted: bool = False
    """Whether kept images are sampled in proportion to their agreement, synthetic ones as often as before."""

    fit_cochleae: bool = False
    """Whether cochleae of masks are given the mean shape and the median volume of the labelled T1 cases before the next
    round learns from them, in the place that the T2 images tell together."""
    fit_tumours: bool = field(default=False, metadata={"added": True})
    """Whether tumours of masks take in the voxels beside them that look like their core, and are brought to the edges
    that the image shows, before the next round learns from them."""

    @property
    def fits(self) -> bool:
        """Whether masks are fitted before they are learnt from."""
        return self.fit_cochleae or self.fit_tumours

    def __post_init__(self) -> None:
        unknown = set(self.stages) - set(SELF_TRAINED)
        if unknown:
            known = sorted(SELF_TRAINED)
            raise ValueError(f"self_training.stages must be among {known}, got {sorted(unknown)}")
        not_negative(rounds=self.rounds)
        at_least_one(last_epochs=self.last_epochs)
        share(min_agreement=self.min_agreement, site_share=self.site_share)
        if self.volume_margin < 1:
            raise ValueError(f"volume_margin must be at least 1, got {self.volume_margin}")
        if self.rounds == 0 and not self.last_on_target:
            raise ValueError("rounds is 0 and last_on_target false, so that no round would see real T2; leave it out")
