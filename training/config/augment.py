"""Settings of tumour blending augmentation and of the self-training after it."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.config.checks import at_least_one, not_negative


@dataclass(frozen=True)
class AugmentConfig:
    """The arm `blending`: altered tumours in synthetic T2, then self-training. Sallé et al. 2023."""

    small_factors: tuple[float, ...] = (0.6, 0.8, 1.2)
    """Factors that the intensities of small tumours, on [0, 1], are multiplied by, one copy of the case for each."""
    large_factors: tuple[float, ...] = (0.7, 1.2, 1.5)
    """The same for large uneven tumours."""
    medium_factors: tuple[float, ...] = field(default=(), metadata={"added": True})
    """The same for tumours of medium size. The paper copies none of them, nor large even ones."""
    large_sd: float = 0.09
    """Standard deviation on [0, 1] above which a large tumour is uneven."""
    cochlea_factors: tuple[float, ...] = ()
    """The same for the cochleae, in copies of their own. The paper has 2, 3 and 4, with `prepare.target_percentiles`
    that clip T2 at 95, for a model of the cochlea alone; none is our choice, since tumour and cochlea share a model."""
    level: int = 13
    """Level of the harmoniser at which an altered tumour enters; with SinGAN the scale n*."""
    cochlea_level: int = 13
    """The same for an altered cochlea."""
    rounds: int = 2
    """Rounds of training on synthetic T2 and on real T2 with the masks of the round before."""
    last_on_target: bool = True
    """Whether a last round sees real T2 alone."""
    last_epochs: int | None = field(default=None, metadata={"added": True})
    """Epochs of that last round; `null`: as many as the others. The paper has 1000 after rounds of 500."""

    def __post_init__(self) -> None:
        not_negative(rounds=self.rounds)
        at_least_one(last_epochs=self.last_epochs)
        factors = {
            "small_factors": self.small_factors,
            "medium_factors": self.medium_factors,
            "large_factors": self.large_factors,
            "cochlea_factors": self.cochlea_factors,
        }
        for key, values in factors.items():
            for value in values:
                if value <= 0:
                    raise ValueError(f"{key} must be above 0, got {list(values)}")

    def levels(self) -> dict[str, int]:
        """Levels of the harmoniser that the altered copies need, by key; none where nothing is altered."""
        needed = {}
        if self.small_factors or self.medium_factors or self.large_factors:
            needed["level"] = self.level
        if self.cochlea_factors:
            needed["cochlea_level"] = self.cochlea_level
        return needed
