"""Which faults are tried, in which numbers."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.reliability.faults.trials import (
    DAMAGES,
    IN_NNUNET,
    SEGMENTER,
    Result,
    Template,
    damage_output,
    damage_state,
    fill_disk,
    jump_clock,
    kill,
    set_clock_back,
    stop,
    two_runs,
)
from vestibule.files import read_json

KILLS = {
    "phantom": 4,
    "prepare": 8,
    "cyclegan": 20,
    "harmoniser": 12,
    "transfer": 6,
    "pix2pix": 14,
    "segmenter": 3,
    IN_NNUNET: 24,
    "augment": 4,
    "self_training": 2,
    "supervised": 1,
    "export": 2,
}
"""Killed runs of each stage; the whole has 100."""
SHORT_KILLS = {"prepare": 1, "cyclegan": 2}
SIGNALLED = ("phantom", "prepare", "cyclegan", "harmoniser", "transfer", "pix2pix", "segmenter", IN_NNUNET, "export")
FILLED = ("phantom", "prepare", "cyclegan", "harmoniser", "transfer", "pix2pix", IN_NNUNET, "augment", "export")
TWICE = ("prepare", "cyclegan", "harmoniser", "pix2pix", IN_NNUNET)
STATES = {
    "prepare": ("config.json", "index.json"),
    "cyclegan": ("config.json", "state.pt", "losses.csv"),
    "harmoniser": ("scales/00.pt", "losses.csv"),
    "pix2pix": ("state.pt",),
    "segmenter": (
        "planned.json",
        "planned.pt",
        "nnunet/preprocessed/*/nnUNetPlans.json",
        "nnunet/preprocessed/*/*/*.*",
    ),
}
"""What stages go on from, as patterns; the last checkpoint of nnU-Net goes with the end of its training."""
Trial = Callable[[Path], list[Result]]


def all_trials(template: Template, seed: int) -> list[Trial]:
    """Every trial, in a random order that lets parallel workers end at about the same time."""
    rng = random.Random(seed)
    trials: list[Trial] = []
    for subject, count in KILLS.items():
        trials += [_killing(template, subject, rng.random()) for _ in range(count)]
    for subject in SIGNALLED:
        for number in (signal.SIGINT, signal.SIGTERM):
            trials.append(_alone(stop, template, subject, rng.random(), int(number)))
    for subject in TWICE:
        trials.append(_alone(two_runs, template, subject, rng.random()))
    for subject in FILLED:
        for share in (0.0, 0.25, 0.5, 0.75, 0.95):
            trials.append(partial(_filling, template, subject, share))
    for subject in ("cyclegan", "harmoniser", IN_NNUNET):
        for days in (1.0, -9000.0):
            trials.append(partial(_clock, template, subject, days))
            trials.append(partial(_jump, template, subject, -days))
    trials += damage_trials(template, template.stages, tuple(DAMAGES))
    rng.shuffle(trials)
    return trials


def short_trials(template: Template, seed: int) -> list[Trial]:
    """A few of each kind, on the first stages alone."""
    rng = random.Random(seed)
    trials: list[Trial] = []
    for subject, count in SHORT_KILLS.items():
        trials += [_killing(template, subject, rng.random()) for _ in range(count)]
    trials.append(_alone(stop, template, "cyclegan", rng.random(), int(signal.SIGTERM)))
    trials.append(_alone(two_runs, template, "cyclegan", rng.random()))
    trials.append(partial(_filling, template, "cyclegan", 0.5))
    trials.append(partial(_state, template, "cyclegan", "state.pt", "flip"))
    return trials


def damage_trials(template: Template, stages: tuple[str, ...], kinds: tuple[str, ...]) -> list[Trial]:
    """Every damage to one file of every kind that stages leave, and to what they go on from."""
    trials: list[Trial] = []
    for stage in stages:
        if stage == "export":
            continue
        for name in one_of_each_kind(read_json(template.run / stage / "stage.json")["outputs"]):
            trials += [partial(damage_output, template, stage, name, kind) for kind in kinds]
    for stage, patterns in STATES.items():
        for pattern in patterns:
            found = sorted((template.run / stage).glob(pattern))
            names = [str(path.relative_to(template.run / stage)) for path in found]
            # After any of them nnU-Net plans and preprocesses anew, which takes longer than all the rest.
            done_here = ("flip",) if stage == SEGMENTER else kinds
            for name in one_of_each_kind(names):
                trials += [partial(_state, template, stage, name, kind) for kind in done_here]
    return trials


def one_of_each_kind(names: list[str] | dict[str, str]) -> list[str]:
    """The first of the files that have one ending, labels apart from images."""
    kinds: dict[str, str] = {}
    for name in sorted(names):
        path = Path(name)
        kind = f"{path.parent.name if path.suffix == '.json' else ''}{path.suffix}{'_label' in name or '_seg' in name}"
        kinds.setdefault(kind, name)
    return list(kinds.values())


def _killing(template: Template, subject: str, seed: float) -> Trial:
    def trial(work: Path) -> list[Result]:
        result, kills = kill(template, subject, work, random.Random(seed))
        # A further kill of the same run is a kill of its own.
        further = [Result(result.part, subject, result.outcome)] * max(0, kills - 1)
        return [result, *further]

    return trial


def _alone(function: Callable, template: Template, subject: str, seed: float, *more: object) -> Trial:
    def trial(work: Path) -> list[Result]:
        return [function(template, subject, work, random.Random(seed), *more)]

    return trial


def _filling(template: Template, subject: str, share: float, work: Path) -> list[Result]:
    return fill_disk(template, subject, work.with_name(f"{work.name}-small"), share)


def _clock(template: Template, subject: str, days: float, work: Path) -> list[Result]:
    return [set_clock_back(template, subject, work, days)]


def _jump(template: Template, subject: str, days: float, work: Path) -> list[Result]:
    return [jump_clock(template, subject, work, days)]


def _state(template: Template, stage: str, name: str, kind: str, work: Path) -> list[Result]:
    return [damage_state(template, stage, name, kind, work)]
