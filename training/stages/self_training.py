"""Self-training: nnU-Net on synthetic T2, then on real T2 with the masks that it found itself. Sallé et al. 2023."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from scipy.ndimage import label as components

from training.config import RunConfig
from training.data.slices import PreparedCase, read_cases
from training.stage_table import AUGMENT, SELF_TRAINING
from training.stages.segmenter import train_on
from vestibule.editions import Edition, get_edition
from vestibule.files import read_json, write_json
from vestibule.pipeline import pick_device
from vestibule.progress import track
from vestibule.segmentation import Segmenter


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train round after round; leaves the last round's weights, plans and dataset in `self_training/`.

    Round 0 sees synthetic T2 with its altered copies; each of `augment.rounds` further ones real T2 with the masks of
    the round before as well; the last, where `augment.last_on_target` asks for it, real T2 alone. No label of T2
    is read.
    """
    folder, edition = SELF_TRAINING.folder(run_dir), get_edition(config.edition)
    synthetic, targets = read_cases(run_dir, "source", AUGMENT), read_cases(run_dir, "target")
    plans = [False, *([False] * config.augment.rounds), *([True] if config.augment.last_on_target else [])]
    pseudo: list[PreparedCase] = []
    for number, target_alone in enumerate(plans):
        round_dir = folder / f"round_{number}"
        outputs = _train_round(pseudo if target_alone else [*synthetic, *pseudo], config, round_dir)
        if number + 1 < len(plans):
            pseudo = label_cases(targets, load_segmenter(config, round_dir), edition, round_dir / "labels")
    return [Path(shutil.copy(path, folder / path.name)) for path in outputs]


def _train_round(cases: list[PreparedCase], config: RunConfig, round_dir: Path) -> list[Path]:
    done = read_json(round_dir / "done.json")
    if done:
        return [round_dir / name for name in done["outputs"]]
    round_dir.mkdir(exist_ok=True)
    outputs = train_on(cases, "T2", config, round_dir)
    write_json(round_dir / "done.json", {"outputs": [path.name for path in outputs]})
    return list(outputs)


def load_segmenter(config: RunConfig, folder: Path) -> Segmenter:
    """The segmenter that a round left in `folder`."""
    folds = config.segmenter.folds or ("all",)
    return Segmenter(
        plans=read_json(folder / "plans.json"),
        dataset=read_json(folder / "dataset.json"),
        configuration=config.segmenter.configuration,
        parameters=[load_file(folder / f"fold_{fold}.safetensors") for fold in folds],
        device=pick_device(),
        mirror_axes=(0, 1, 2) if config.segmenter.mirror_at_test else (),
        tile_step=config.segmenter.tile_step,
    )


def label_cases(cases: list[PreparedCase], segmenter: Segmenter, edition: Edition, folder: Path) -> list[PreparedCase]:
    """`cases` with the segmenter's own masks, written to `folder` as uint8 (Z, Y, X), in place of any label."""
    folder.mkdir(exist_ok=True)
    labelled = []
    for case in track(cases, "pseudo-labels"):
        probabilities = segmenter.probabilities(np.asarray(case.image, dtype=np.float32), case.spacing_zyx)
        found = largest_tumour(probabilities.argmax(axis=0).astype(np.uint8), edition)
        np.save(folder / f"{case.name}.npy", found)
        labelled.append(replace(case, label_path=folder / f"{case.name}.npy"))
    return labelled


def largest_tumour(labels: np.ndarray, edition: Edition) -> np.ndarray:
    """`labels` (Z, Y, X) with the largest connected tumour alone; a patient has one. Other structures stay."""
    parts, count = components(np.isin(labels, edition.structures["vs"]))
    if count < 2:
        return labels
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return np.where((parts > 0) & (parts != largest), 0, labels).astype(labels.dtype)
