"""Self-training: nnU-Net on synthetic T2, then on real T2 with the masks that it found itself. Sallé et al. 2023."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from training.config import Rounds, RunConfig, rounds_of, trainings_in
from training.config.segmenter import SPLITS
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.nnunet.trained import load_segmenter
from training.postprocessing.held_back import remaining
from training.pseudo_labels.gain import TABLE, Gain, gain_of, in_words, write_rounds
from training.pseudo_labels.masks import find_masks
from training.pseudo_labels.record import TABLE as MASKS
from training.pseudo_labels.record import count_kept
from training.pseudo_labels.round import LABELS, judged_masks
from training.run_folder import REPORT
from training.stage_table import AUGMENT, SELF_TRAINING, Stage
from training.stages.segmenter import check_training, labelled, train_on
from vestibule.editions import get_edition
from vestibule.files import read_json, write_json, write_text


@dataclass
class Taught:
    """What is learnt from beside synthetic T2: real T2 with masks of the round before."""

    cases: list[PreparedCase] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    """How often a case is sampled, relative to a synthetic one, where this is not 1."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many cases, T1's in the first round, T2's in the last."""
    rounds = rounds_of(config, SELF_TRAINING)
    check_rounds(rounds or config.augment, config, known)


def check_rounds(rounds: Rounds, config: RunConfig, known: KnownCases) -> None:
    """Raise InputError as `check` does, for the rounds of any stage."""
    check_training(config, labelled(config, known, "source"), "labelled T1")
    if rounds.last_on_target:
        targets = known.of("target")
        check_training(config, len(targets), "T2")


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train round after round; leaves the last round's weights, plans and dataset in `self_training/`.

    Round 0 sees synthetic T2 with its altered copies; each of `rounds` further ones real T2 with the masks of the
    round before as well; the last, where `last_on_target` asks for it, real T2 alone. No label of T2 is learnt from.
    """
    rounds = config.self_training or config.augment
    return train_in_rounds(SELF_TRAINING, AUGMENT, rounds, config, run_dir)


def train_in_rounds(stage: Stage, made_by: Stage, rounds: Rounds, config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on synthetic T2, and go on with its own masks of real T2.

    Args:
        stage: The stage that trains; its folder is written to.
        made_by: The stage that has made the synthetic T2.
        rounds: How often, and what the last round sees.
        config: What the stage is given of the configuration.
        run_dir: Folder of the run.

    Returns:
        Paths of the last round's weights, plans and description; where masks are judged, of the table and the report
        on the rounds, too.
    """
    folder = stage.folder(run_dir)
    synthetic = read_cases(run_dir, "source", made_by)
    synthetic = remaining(synthetic, config.segmenter.held_back, config.seed)
    targets = read_cases(run_dir, "target")
    last = trainings_in(rounds) - 1

    taught = Taught()
    outputs: list[Path] = []
    gains: list[list[Gain]] = []
    for number in range(last + 1):
        round_dir = folder / f"round_{number}"
        cases = [*synthetic, *taught.cases]
        epochs = None
        if number == last and rounds.last_on_target:
            epochs = rounds.last_epochs
            # What is left of the masks may be too few; `inspect` tells of it.
            all_kept = len(taught.cases) == len(targets)
            if all_kept or is_enough(len(taught.cases), config):
                cases = taught.cases
        outputs = _train_round(cases, taught.weights, config, round_dir, epochs)

        # The last round's network is the result, and labels nothing that is learnt from.
        if number < last:
            taught, worth = _teach(targets, synthetic, config, run_dir, round_dir)
        else:
            worth = _measure_last(targets, config, round_dir)
        if worth:
            gains.append(worth)

    copies = []
    for path in outputs:
        copy = folder / path.name
        shutil.copy(path, copy)
        copies.append(copy)
    if gains:
        copies += _report(gains, folder)
    return copies


def is_enough(masks: int, config: RunConfig) -> bool:
    """Whether nnU-Net can be trained on so many masks alone."""
    needed = SPLITS if config.segmenter.folds else 1
    return masks >= needed


def inspect(config: RunConfig, run_dir: Path) -> list[str]:
    """Warnings of rounds that have kept too few masks."""
    return inspect_rounds(SELF_TRAINING, config, run_dir)


def inspect_rounds(stage: Stage, config: RunConfig, run_dir: Path) -> list[str]:
    """Warnings as those of `inspect`, for the rounds of any stage."""
    warnings = []
    for round_dir in sorted(stage.folder(run_dir).glob("round_*")):
        counted = count_kept(round_dir)
        if counted is None:
            continue
        kept, masks = counted
        if not is_enough(kept, config):
            warnings.append(
                f"{round_dir.name} has kept {kept} of {masks} masks of T2, too few to train nnU-Net on alone; look at "
                f"{round_dir / MASKS}"
            )
    return warnings


def _teach(
    targets: list[PreparedCase], synthetic: list[PreparedCase], config: RunConfig, run_dir: Path, round_dir: Path
) -> tuple[Taught, list[Gain]]:
    """Masks of real T2 to learn from, all or those that are kept; with what they are worth, where that is told."""
    if config.self_training is None:
        segmenter = load_segmenter(config, round_dir)
        found = find_masks(targets, segmenter, get_edition(config.edition), round_dir / LABELS)
        cases = [one.case for one in found]
        return Taught(cases), []

    judged = judged_masks(targets, synthetic, config.self_training, config, run_dir, round_dir)
    taught = Taught()
    for one in judged:
        if not one.kept:
            continue
        taught.cases.append(one.case)
        if one.weight != 1:
            taught.weights[one.case.name] = one.weight
    masks = [one.case for one in judged]
    kept = [one.kept for one in judged]
    return taught, gain_of(masks, kept, targets, get_edition(config.edition))


def _measure_last(targets: list[PreparedCase], config: RunConfig, round_dir: Path) -> list[Gain]:
    """What the last round's network is worth, where masks are judged and T2 has references; otherwise nothing."""
    has_references = any(case.label_path is not None for case in targets)
    if config.self_training is None or not has_references:
        return []
    edition = get_edition(config.edition)
    segmenter = load_segmenter(config, round_dir)
    found = find_masks(targets, segmenter, edition, round_dir / LABELS)
    masks = [one.case for one in found]
    return gain_of(masks, None, targets, edition)


def _report(gains: list[list[Gain]], folder: Path) -> list[Path]:
    """Write the table of all rounds, and lines that are shown when the stage is done."""
    lines = [in_words(number, of_round) for number, of_round in enumerate(gains)]
    paths = [folder / TABLE, folder / REPORT]
    write_rounds(folder / TABLE, gains)
    text = "\n".join(lines)
    write_text(folder / REPORT, f"{text}\n")
    return paths


def _train_round(
    cases: list[PreparedCase], weights: dict[str, float], config: RunConfig, round_dir: Path, epochs: int | None
) -> list[Path]:
    """Outputs of a round's training, or those that an earlier try has left."""
    record = round_dir / "done.json"
    done = read_json(record)
    if done:
        return [round_dir / name for name in done["outputs"]]
    round_dir.mkdir(exist_ok=True)
    outputs = train_on(cases, "T2", config, round_dir, epochs, weights)
    names = [path.name for path in outputs]
    write_json(record, {"outputs": names})
    return list(outputs)
