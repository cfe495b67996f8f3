"""Settings of SinGAN, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from training.config.checks import above_zero, at_least_one
from training.config.harmoniser import HarmoniserSettings

SCHEDULES: dict[str, dict[str, float]] = {
    "fast": {},
    "paper": {
        "max_width": 128,
        "iterations": 2000,
        "discriminator_steps": 3,
        "generator_steps": 3,
        "reconstruction_weight": 10.0,
    },
}
"""What stands for the keys of `harmoniser` that a file leaves out, where it is not the default below."""


@dataclass(frozen=True)
class SinGANConfig(HarmoniserSettings):
    """The one-shot model of a single target slice, Shaham et al. 2019."""

    kind: str = "singan"
    """Which harmoniser it is."""
    schedule: str = "fast"
    """`fast`: minutes, by one width and one step of each network an iteration. `paper`: the published channels and
    steps (`max_width` 128, `iterations` 2000, three steps of each network, `reconstruction_weight` 10), hours on a CPU.
    Keys that the file sets hold in either."""
    coarsest_px: int = 25
    """Shorter side of the slice at scale 0, pixels."""
    scale_factor: float = 0.75
    """Size of a scale relative to the next finer one; adjusted so that whole steps fit."""
    width: int = 32
    """Channels of the coarsest scale."""
    max_width: int | None = None
    """Channels double every four scales up to so many; `null`: `width` at every scale."""
    layers: int = 5
    """Convolutions of a generator and of a critic."""
    iterations: int = 2400
    """Iterations of training for each scale."""
    discriminator_steps: int = 1
    """Steps of the critic in an iteration."""
    generator_steps: int = 1
    """Steps of the generator in an iteration."""
    learning_rate: float = 5e-4
    """Learning rate of Adam; a tenth of it in the last fifth of a scale."""
    penalty_weight: float = 0.1
    """Weight λ_p of the critic's gradient penalty."""
    reconstruction_weight: float = 50.0
    """Weight α of the reconstruction term."""
    noise_weight: float = 0.1
    """Noise amplitude of a scale, relative to the root mean square of what the coarser scales leave of the slice."""

    @staticmethod
    def with_preset(values: dict) -> dict:
        """`values` of a file, completed by those of their schedule."""
        # A schedule that there is not is refused below, with the known ones.
        completed = dict(SCHEDULES.get(str(values.get("schedule")), {}))
        completed.update(values)
        return completed

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {tuple(SCHEDULES)}, got {self.schedule!r}")
        at_least_one(
            discriminator_steps=self.discriminator_steps,
            generator_steps=self.generator_steps,
            width=self.width,
            layers=self.layers,
            iterations=self.iterations,
        )
        above_zero(learning_rate=self.learning_rate)
        if not 0 < self.scale_factor < 1:
            raise ValueError(f"scale_factor must be between 0 and 1, got {self.scale_factor}")
        receptive_px = 2 * self.layers + 1
        if self.coarsest_px < receptive_px:
            raise ValueError(
                f"coarsest_px must be at least {receptive_px}, which {self.layers} layers see, got {self.coarsest_px}"
            )
        if self.max_width is not None and self.max_width < self.width:
            raise ValueError(f"max_width must be at least width, {self.width}, got {self.max_width}")


def scheduled(own: SinGANConfig, schedule: str) -> SinGANConfig:
    """The settings `own` with what a schedule decides taken from `schedule`."""
    named = SinGANConfig(**SinGANConfig.with_preset({"schedule": schedule}))
    decided: dict[str, Any] = {}
    for preset in SCHEDULES.values():
        for key in preset:
            decided[key] = getattr(named, key)
    return replace(own, schedule=schedule, **decided)
