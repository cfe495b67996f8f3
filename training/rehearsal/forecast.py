"""From a rehearsal's pace to what the run will take: seconds and bytes of every stage."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.config import RunConfig, trainings_in
from training.config import rounds_of as section_of_rounds
from training.rehearsal.shorten import ITERATIONS_PER_EPOCH
from training.rehearsal.trial import Trial
from training.run_folder import VOLUMES
from training.stage_table import (
    CYCLEGAN,
    DIRECT_SEGMENTER,
    EXPORT,
    HARMONISER,
    PIX2PIX,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
    SUPERVISED,
    Stage,
)

FORWARD_SHARE = 1 / 3
"""Time of a step without its way back, as a share of a whole step: what nnU-Net's validation takes."""
VALIDATION_STEPS = 1
"""Of an epoch of the rehearsal."""
EPOCH_TIME = re.compile(r"Epoch time: ([0-9.]+) s")


@dataclass(frozen=True)
class Rehearsed:
    """A stage of a rehearsal, and what it is to become."""

    stage: Stage
    trial: Trial
    folder: Path
    """Of the stage in the rehearsal's run."""
    config: RunConfig
    """Of the run, not of the rehearsal."""
    share: float
    """Cases of the run for each case of the rehearsal."""


def seconds_of(rehearsed: Rehearsed) -> float:
    """Seconds that the stage will take in the run, on this machine."""
    forecast = SECONDS.get(rehearsed.stage, _by_case)
    return forecast(rehearsed)


def bytes_of(rehearsed: Rehearsed) -> int:
    """Bytes that the stage will leave on the disk, with what it needs for a moment where that is more."""
    once = 0
    volumes = 0
    for path in rehearsed.folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        size = path.stat().st_size
        if path.name.endswith(VOLUMES):
            volumes += size
        else:
            once += size
    trainings = trainings_of(rehearsed)
    # The checkpoint before stays until the next one is whole.
    return int(rounds_of(rehearsed) * volumes * rehearsed.share + 2 * trainings * once)


def trainings_of(rehearsed: Rehearsed) -> int:
    """How many networks the stage trains one after the other, where the rehearsal trains one."""
    if rehearsed.stage in (SEGMENTER, DIRECT_SEGMENTER, SUPERVISED, SELF_TRAINING):
        folds = len(rehearsed.config.segmenter.folds) or 1
        return folds * rounds_of(rehearsed)
    if rehearsed.stage == HARMONISER:
        return rehearsed.config.reference.count
    return 1


def rounds_of(rehearsed: Rehearsed) -> int:
    """Rounds of self-training, the first among them; 1 for every other stage."""
    rounds = section_of_rounds(rehearsed.config, rehearsed.stage)
    return 1 if rounds is None else trainings_in(rounds)


def _by_case(rehearsed: Rehearsed) -> float:
    return rehearsed.trial.seconds * rehearsed.share


def _once(rehearsed: Rehearsed) -> float:
    return rehearsed.trial.seconds


def _gan(rehearsed: Rehearsed) -> float:
    # A GAN's section is called as its stage.
    settings = getattr(rehearsed.config, rehearsed.stage.name)
    return pace(rehearsed.folder / "losses.csv") * settings.iterations


def _harmoniser(rehearsed: Rehearsed) -> float:
    iterations = getattr(rehearsed.config.harmoniser, "iterations", None)
    tables = sorted(rehearsed.folder.rglob("losses.csv"))
    if iterations is None or not tables:
        # It trains nothing.
        return _once(rehearsed) * trainings_of(rehearsed)
    return pace(tables[0], "scale") * iterations * trainings_of(rehearsed)


def _nnunet(rehearsed: Rehearsed) -> float:
    settings = rehearsed.config.segmenter
    logs = sorted(rehearsed.folder.rglob("training_log_*.txt"))
    seconds = [float(found) for log in logs for found in EPOCH_TIME.findall(log.read_text(encoding="utf-8"))]
    if not seconds:
        return 0.0
    step = seconds[-1] / (ITERATIONS_PER_EPOCH + FORWARD_SHARE * VALIDATION_STEPS)
    steps = settings.iterations_per_epoch
    epoch = step * (steps + FORWARD_SHARE * max(1, steps // 10))
    planning = max(0.0, rehearsed.trial.seconds - sum(seconds)) * rehearsed.share

    folds = len(settings.folds) or 1
    rounds = rounds_of(rehearsed)
    epochs = settings.epochs * rounds
    section = section_of_rounds(rehearsed.config, rehearsed.stage)
    if section is not None and section.last_on_target and section.last_epochs is not None:
        epochs += section.last_epochs - settings.epochs
    return epoch * epochs * folds + planning * rounds


SECONDS: dict[Stage, Callable[[Rehearsed], float]] = {
    CYCLEGAN: _gan,
    HARMONISER: _harmoniser,
    SECOND_CYCLEGAN: _gan,
    PIX2PIX: _gan,
    SEGMENTER: _nnunet,
    DIRECT_SEGMENTER: _nnunet,
    SELF_TRAINING: _nnunet,
    SUPERVISED: _nnunet,
    EXPORT: _once,
}
"""How a stage's time grows; every other one takes its time for each case."""


def pace(table: Path, part: str | None = None) -> float:
    """Seconds an iteration, by a table of losses; the first row of it, which holds what happens once, begins the clock.

    Args:
        table: A CSV with the columns `iteration` and `seconds`.
        part: Column whose values have paces of their own, which are added up; None: all rows have one.

    Returns:
        Seconds; 0 where no part has two rows.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    with table.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row[part] if part else "", []).append(row)
    total = 0.0
    for own in rows.values():
        first, last = own[0], own[-1]
        steps = int(last["iteration"]) - int(first["iteration"])
        if steps:
            total += (float(last["seconds"]) - float(first["seconds"])) / steps
    return total
