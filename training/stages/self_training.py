"""Self-training: nnU-Net on synthetic T2, then on real T2 with the masks that it found itself. Sallé et al. 2023."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.nnunet.trained import load_segmenter
from training.postprocessing.held_back import remaining
from training.stage_table import AUGMENT, SELF_TRAINING
from training.stages.segmenter import check_training, labelled, train_on
from vestibule.components import ComponentRule, keep_components
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.files import read_json, write_json
from vestibule.progress import track
from vestibule.segmentation import Segmenter


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many cases, T1's in the first round, T2's in the last."""
    check_training(config, labelled(config, known, "source"), "labelled T1")
    if config.augment.last_on_target:
        targets = known.of("target")
        check_training(config, len(targets), "T2")


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train round after round; leaves the last round's weights, plans and dataset in `self_training/`.

    Round 0 sees synthetic T2 with its altered copies; each of `augment.rounds` further ones real T2 with the masks of
    the round before as well; the last, where `augment.last_on_target` asks for it, real T2 alone. No label of T2 is
    read.
    """
    folder = SELF_TRAINING.folder(run_dir)
    edition = get_edition(config.edition)
    synthetic = read_cases(run_dir, "source", AUGMENT)
    synthetic = remaining(synthetic, config.segmenter.held_back, config.seed)
    targets = read_cases(run_dir, "target")
    last = config.augment.rounds
    if config.augment.last_on_target:
        last += 1

    pseudo_labelled: list[PreparedCase] = []
    outputs: list[Path] = []
    for number in range(last + 1):
        round_dir = folder / f"round_{number}"
        cases = [*synthetic, *pseudo_labelled]
        epochs = None
        if number == last and config.augment.last_on_target:
            cases = pseudo_labelled
            epochs = config.augment.last_epochs
        outputs = _train_round(cases, config, round_dir, epochs)

        # The last round's network is the result, and labels nothing.
        if number < last:
            segmenter = load_segmenter(config, round_dir)
            labels = round_dir / "labels"
            pseudo_labelled = label_cases(targets, segmenter, edition, labels)

    copies = []
    for path in outputs:
        copy = folder / path.name
        shutil.copy(path, copy)
        copies.append(copy)
    return copies


def _train_round(cases: list[PreparedCase], config: RunConfig, round_dir: Path, epochs: int | None) -> list[Path]:
    """Outputs of a round's training, or those that an earlier try has left."""
    record = round_dir / "done.json"
    done = read_json(record)
    if done:
        return [round_dir / name for name in done["outputs"]]
    round_dir.mkdir(exist_ok=True)
    outputs = train_on(cases, "T2", config, round_dir, epochs)
    names = [path.name for path in outputs]
    write_json(record, {"outputs": names})
    return list(outputs)


def label_cases(cases: list[PreparedCase], segmenter: Segmenter, edition: Edition, folder: Path) -> list[PreparedCase]:
    """Replace the labels of cases by the segmenter's own masks.

    Args:
        cases: Real T2.
        segmenter: What finds the masks.
        edition: What labels mean.
        folder: Where the masks are written, uint8 (Z, Y, X).

    Returns:
        The cases with these masks in place of any label.
    """
    folder.mkdir(exist_ok=True)
    labelled = []
    for case in track(cases, "pseudo-labels"):
        image = np.asarray(case.image, dtype=np.float32)
        probabilities = segmenter.probabilities(image, case.spacing_zyx)  # (C, Z, Y, X)
        labels = probabilities.argmax(axis=0).astype(np.uint8)
        labels = largest_tumour(labels, edition)
        path = folder / f"{case.name}.npy"
        np.save(path, labels)
        pseudo_labelled = replace(case, label_path=path)
        labelled.append(pseudo_labelled)
    return labelled


def largest_tumour(labels: np.ndarray, edition: Edition) -> np.ndarray:
    """`labels` (Z, Y, X) with the largest connected tumour alone; a patient has one. Other structures stay."""
    rules = {TUMOUR: ComponentRule(most=1)}
    # The number of parts is all that counts.
    return keep_components(labels, rules, edition, voxel_mm3=1.0)
