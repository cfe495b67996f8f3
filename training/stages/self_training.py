"""Self-training: nnU-Net on synthetic T2, then on real T2 with the masks that it found itself. Sallé et al. 2023."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.config import Rounds, RunConfig, rounds_of, trainings_in
from training.config.segmenter import SPLITS
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.nnunet.trained import is_trained, load_segmenter
from training.parts import Layers, Part
from training.postprocessing.held_back import remaining
from training.pseudo_labels.gain import TABLE, Gain, gain_of, in_words, write_rounds
from training.pseudo_labels.masks import find_masks, read_masks, write_masks
from training.pseudo_labels.record import TABLE as MASKS
from training.pseudo_labels.record import count_kept
from training.pseudo_labels.round import LABELS, judged_before, judged_masks, masks_as_found
from training.pseudo_labels.verdicts import Judged
from training.run_folder import REPORT
from training.stage_table import AUGMENT, SELF_TRAINING, Stage
from training.stages.segmenter import check_training, fold_parts, labelled, make_part_on, train_on
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import read_json, write_json, write_text

ROUND = "round_"
"""Beginning of the names of a round's folder and parts."""
FIND = "masks"
"""Part of a round that finds masks of real T2, and judges them."""


@dataclass
class Taught:
    """What is learnt from beside synthetic T2: real T2 with masks of the round before."""

    cases: list[PreparedCase] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    """How often a case is sampled, relative to a synthetic one, where this is not 1."""
    masks: list[PreparedCase] = field(default_factory=list)
    """All masks of the round, where they are judged."""
    kept: list[bool] = field(default_factory=list)
    """Whether each of these is among `cases`."""


@dataclass(frozen=True)
class Lesson:
    """What a round learns from, and for how long."""

    cases: list[PreparedCase]
    weights: dict[str, float]
    """As those of `Taught`."""
    epochs: int | None = None
    """None: as configured."""


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


def parts(config: RunConfig) -> Layers:
    """The folds and the masks of each round, where there are several folds."""
    return round_parts(config.self_training or config.augment, config)


def make_part(config: RunConfig, run_dir: Path, name: str) -> None:
    """Make what a round's folds share, one of its folds, or its masks."""
    rounds = config.self_training or config.augment
    make_round_part(name, SELF_TRAINING, AUGMENT, rounds, config, run_dir)


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
    training = _Training(stage, made_by, rounds, config, run_dir)
    taught = Taught()
    outputs: list[Path] = []
    gains: list[list[Gain]] = []
    for number in range(training.last + 1):
        lesson = training.lesson(number, taught)
        outputs = _train_round(lesson, config, training.folder(number))
        taught = training.teach(number)
        worth = training.worth(number, taught)
        if worth:
            gains.append(worth)

    folder = stage.folder(run_dir)
    copies = []
    for path in outputs:
        copy = folder / path.name
        shutil.copy(path, copy)
        copies.append(copy)
    if gains:
        copies += _report(gains, folder)
    return copies


def round_parts(rounds: Rounds, config: RunConfig) -> Layers:
    """Parts of a training in rounds: of each its folds, then its masks; none where a round is one network."""
    layers: list[tuple[Part, ...]] = []
    of_round = fold_parts(config)
    if not of_round:
        return ()
    last = trainings_in(rounds) - 1
    for number in range(last + 1):
        before = f"{ROUND}{number}_"
        for layer in of_round:
            named = [replace(part, name=before + part.name) for part in layer]
            layers.append(tuple(named))
        # Those of the last round are looked at where masks are judged.
        if number < last or config.self_training is not None:
            masks = Part(before + FIND, trains=False)
            layers.append((masks,))
    return tuple(layers)


def make_round_part(name: str, stage: Stage, made_by: Stage, rounds: Rounds, config: RunConfig, run_dir: Path) -> None:
    """Make one of `round_parts`; the other arguments are those of `train_in_rounds`.

    Raises InputError for a part of which one that it needs is not there.
    """
    number_of_round, _, part = name.removeprefix(ROUND).partition("_")
    number = int(number_of_round)
    training = _Training(stage, made_by, rounds, config, run_dir)
    if part == FIND:
        training.require_networks(number)
        training.teach(number)
        return
    taught = Taught()
    if number > 0:
        taught = training.taught(number - 1)
    lesson = training.lesson(number, taught)
    folder = training.folder(number)
    folder.mkdir(exist_ok=True)
    make_part_on(part, lesson.cases, "T2", config, folder, lesson.epochs, lesson.weights)


class _Training:
    """A training in rounds: what each round learns from, and what it finds in real T2."""

    def __init__(self, stage: Stage, made_by: Stage, rounds: Rounds, config: RunConfig, run_dir: Path) -> None:
        """Reads the lists of images; arguments as of `train_in_rounds`."""
        synthetic = read_cases(run_dir, "source", made_by)
        self._synthetic = remaining(synthetic, config.segmenter.held_back, config.seed)
        self._targets = read_cases(run_dir, "target")
        self._edition = get_edition(config.edition)
        self._stage = stage
        self._rounds = rounds
        self._config = config
        self._run_dir = run_dir
        self.last = trainings_in(rounds) - 1
        """Number of the last round."""

    def folder(self, number: int) -> Path:
        """Folder of a round."""
        return self._stage.folder(self._run_dir) / f"{ROUND}{number}"

    def lesson(self, number: int, taught: Taught) -> Lesson:
        """What a round learns from, by what the round before has found."""
        cases = [*self._synthetic, *taught.cases]
        if number < self.last or not self._rounds.last_on_target:
            return Lesson(cases, taught.weights)
        # What is left of the masks may be too few; `inspect` tells of it.
        all_kept = len(taught.cases) == len(self._targets)
        if all_kept or is_enough(len(taught.cases), self._config):
            cases = taught.cases
        return Lesson(cases, taught.weights, self._rounds.last_epochs)

    def teach(self, number: int) -> Taught:
        """Masks of real T2 to learn from, all or those that are kept; the last round's network finds none of them."""
        settings = self._config.self_training
        folder = self.folder(number)
        if number == self.last:
            # Its network is the result, and labels nothing that is learnt from.
            return Taught(self._last_masks())
        if settings is None:
            return Taught(self._own_masks(folder))
        judged = judged_masks(self._targets, self._synthetic, settings, self._config, self._run_dir, folder)
        return _kept_of(judged)

    def taught(self, number: int) -> Taught:
        """What `teach` has found earlier. Raises InputError where that is not there, or damaged."""
        settings = self._config.self_training
        folder = self.folder(number)
        if settings is None:
            cases = read_masks(self._targets, folder / LABELS)
            found = None if cases is None else Taught(cases)
        else:
            judged = judged_before(self._targets, settings, folder)
            found = None if judged is None else _kept_of(judged)
        if found is None:
            raise InputError(
                f"{folder}: its masks of T2 are not there, or damaged; make the part '{ROUND}{number}_{FIND}' first"
            )
        return found

    def worth(self, number: int, taught: Taught) -> list[Gain]:
        """What the masks of a round are worth, where masks are judged; otherwise nothing."""
        if self._config.self_training is None:
            return []
        if number < self.last:
            found = None
            if self._config.self_training.fits:
                found = masks_as_found(self._targets, self.folder(number))
            return gain_of(taught.masks, taught.kept, self._targets, self._edition, found)
        if not taught.cases:
            return []
        return gain_of(taught.cases, None, self._targets, self._edition)

    def require_networks(self, number: int) -> None:
        """Raise InputError where a round is not trained."""
        folder = self.folder(number)
        for fold in self._config.segmenter.folds:
            if not is_trained(fold, folder):
                raise InputError(
                    f"{folder}: fold {fold} is not trained; make the part '{ROUND}{number}_fold_{fold}' first"
                )

    def _last_masks(self) -> list[PreparedCase]:
        """Masks by the last round's network, where masks are judged and T2 has references; otherwise none."""
        has_references = any(case.label_path is not None for case in self._targets)
        if self._config.self_training is None or not has_references:
            return []
        return self._own_masks(self.folder(self.last))

    def _own_masks(self, folder: Path) -> list[PreparedCase]:
        """The masks of real T2 of a round as its network finds them."""
        labels = folder / LABELS
        earlier = read_masks(self._targets, labels)
        if earlier is not None:
            return earlier
        segmenter = load_segmenter(self._config, folder)
        found = find_masks(self._targets, segmenter, self._edition, labels)
        cases = [one.case for one in found]
        write_masks(cases, labels)
        return cases


def _kept_of(judged: Sequence[Judged]) -> Taught:
    """What is learnt from of the masks of a round."""
    taught = Taught()
    for one in judged:
        taught.masks.append(one.case)
        taught.kept.append(one.kept)
        if not one.kept:
            continue
        taught.cases.append(one.case)
        if one.weight != 1:
            taught.weights[one.case.name] = one.weight
    return taught


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


def _report(gains: list[list[Gain]], folder: Path) -> list[Path]:
    """Write the table of all rounds, and lines that are shown when the stage is done."""
    lines = [in_words(number, of_round) for number, of_round in enumerate(gains)]
    paths = [folder / TABLE, folder / REPORT]
    write_rounds(folder / TABLE, gains)
    text = "\n".join(lines)
    write_text(folder / REPORT, f"{text}\n")
    return paths


def _train_round(lesson: Lesson, config: RunConfig, round_dir: Path) -> list[Path]:
    """Outputs of a round's training, or those that an earlier try has left."""
    record = round_dir / "done.json"
    done = read_json(record)
    if done:
        return [round_dir / name for name in done["outputs"]]
    round_dir.mkdir(exist_ok=True)
    outputs = train_on(lesson.cases, "T2", config, round_dir, lesson.epochs, lesson.weights)
    names = [path.name for path in outputs]
    write_json(record, {"outputs": names})
    return list(outputs)
