"""Settings of SinGAN, one of the harmonisers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.config.harmoniser import HarmoniserSettings

SCHEDULES: dict[str, dict[str, int | None]] = {
    "fast": {},
    "paper": {
        **{"max_width": 128, "iterations": 2000, "discriminator_steps": 3, "generator_steps": 3},
        **{"reconstruction_weight": 10.0},
    },
}
"""What stands for the keys of `harmoniser` that a file leaves out, where it is not the default below."""


@dataclass(frozen=True)
class SinGANConfig(HarmoniserSettings):
    """The one-shot model of a single target slice, Shaham et al. 2019."""

    kind: str = "singan"
    schedule: str = "fast"
    """`fast`: minutes, by one width and one step of each network an iteration. `paper`: the
    published channels and steps, hours on a CPU. Keys that the file gives stand in either."""
    coarsest_px: int = 25
    scale_factor: float = 0.75
    width: int = 32
    max_width: int | None = None
    """Channels double every four scales up to so many; unset, all scales have `width`."""
    layers: int = 5
    iterations: int = 2400
    """A scale's iterations."""
    discriminator_steps: int = 1
    generator_steps: int = 1
    learning_rate: float = 5e-4
    penalty_weight: float = 0.1
    reconstruction_weight: float = 50.0
    noise_weight: float = 0.1
    """Noise amplitude of a scale, relative to the residual that the coarser scales leave."""

    @staticmethod
    def with_preset(values: dict) -> dict:
        """`values` of a file, completed by those of their schedule."""
        return {**SCHEDULES.get(values.get("schedule"), {}), **values}

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {tuple(SCHEDULES)}, got {self.schedule!r}")
        if min(self.discriminator_steps, self.generator_steps, self.width, self.layers) < 1:
            raise ValueError(
                "discriminator_steps, generator_steps, width and layers must be at least 1, got "
                f"{self.discriminator_steps}, {self.generator_steps}, {self.width} and {self.layers}"
            )
        if self.max_width is not None and self.max_width < self.width:
            raise ValueError(f"max_width must be at least width, {self.width}, got {self.max_width}")


def scheduled(own: SinGANConfig, schedule: str) -> SinGANConfig:
    """The settings `own` with what a schedule decides taken from `schedule`."""
    named = SinGANConfig(**SinGANConfig.with_preset({"schedule": schedule}))
    decided = {key for preset in SCHEDULES.values() for key in preset}
    return replace(own, schedule=schedule, **{key: getattr(named, key) for key in decided})
