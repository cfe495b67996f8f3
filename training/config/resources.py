"""What a job of a stage is given where an engine such as Slurm runs the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.config.checks import above_zero, at_least_one, not_negative
from training.stage_table import STAGES


@dataclass(frozen=True)
class ResourcesConfig:
    """What each job of some stages is given; of several entries that name a stage, the last one counts."""

    stages: tuple[str, ...] = ()
    """Names of stages; `[]`: all of them."""
    gpus: int = 0
    """GPUs of a job. Stages that train on several together are started by `torchrun`, with a process for each."""
    cpus: int = 2
    """Processor cores of a job, which are also its threads where `OMP_NUM_THREADS` sets no other number."""
    memory_gb: float | None = None
    """Memory of a job, GB; `null`: what the cluster gives by default."""
    hours: float = 24.0
    """Time limit. A job that reaches it is queued again, and goes on from its last checkpoint. `--engine local` has
    none."""
    partition: str | None = None
    """Slurm's partition; `null`: the default one."""
    options: tuple[str, ...] = ()
    """Further options of `sbatch`, such as `--qos=long`; of `--engine local` none counts."""

    def __post_init__(self) -> None:
        unknown = set(self.stages) - set(STAGES)
        if unknown:
            raise ValueError(f"resources.stages must be among {tuple(STAGES)}, got {sorted(unknown)}")
        not_negative(gpus=self.gpus)
        at_least_one(cpus=self.cpus)
        above_zero(hours=self.hours)
        if self.memory_gb is not None:
            above_zero(memory_gb=self.memory_gb)
        for option in self.options:
            if not option.startswith("--") or option == "--":
                raise ValueError(f"resources.options must be such as --qos=long, got {option!r}")


def resources_for(stage: str, given: Sequence[ResourcesConfig]) -> ResourcesConfig:
    """What a job of a stage is given: by the last entry that names it, or all stages; else the defaults."""
    found = ResourcesConfig()
    for entry in given:
        if not entry.stages or stage in entry.stages:
            found = entry
    return found
