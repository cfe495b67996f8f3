"""A folder in which nnU-Net has planned and preprocessed, made by hand: its own code takes half a minute for that."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetNumpy

from training.config import SegmenterConfig
from training.nnunet.randomness import global_state
from training.stages.segmenter import DATASET, PLANNED, PLANS, START
from vestibule.checkpoints import save_state
from vestibule.files import file_sha256, write_json

SHAPE_ZYX = (8, 24, 24)


def segmenter_config(**changes) -> SimpleNamespace:
    """What the stage is given: four epochs of two steps, a checkpoint after each but the last."""
    settings = {"folds": (), "epochs": 4, "iterations_per_epoch": 2, **changes}
    return SimpleNamespace(seed=0, edition=2022, segmenter=SegmenterConfig(**settings), local_contrast=None)


def write_planned(folder: Path, bundle: Path, cases: int = 2) -> None:
    """Write what planning leaves for a stage.

    Args:
        folder: The stage's.
        bundle: With `plans.json` and `dataset.json` of the smallest network.
        cases: How many.
    """
    plans = json.loads((bundle / "plans.json").read_text())
    plans["dataset_name"] = DATASET
    # Deep supervision needs a stage more than prediction does.
    network = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    network |= {"n_stages": 3, "features_per_stage": [4, 8, 8], "kernel_sizes": [[3, 3, 3]] * 3}
    network |= {"strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "n_conv_per_stage": [1] * 3}
    network["n_conv_per_stage_decoder"] = [1] * 2
    dataset = json.loads((bundle / "dataset.json").read_text())
    preprocessed = folder / "nnunet" / "preprocessed" / DATASET
    write_json(preprocessed / f"{PLANS}.json", plans)
    write_json(preprocessed / "dataset.json", {**dataset, "numTraining": cases, "file_ending": ".nii.gz"})
    write_json(preprocessed / "dataset_fingerprint.json", {})

    generator = np.random.default_rng(0)
    images = preprocessed / plans["configurations"]["3d_fullres"]["data_identifier"]
    images.mkdir()
    for number in range(cases):
        labels = np.zeros((1, *SHAPE_ZYX), np.int16)
        labels[0, 3:6, 8:14, 8:14] = 1
        labels[0, 3:6, 16:20, 4:8] = 2
        image = labels + generator.normal(0, 0.2, labels.shape)
        locations = {}
        for value in (1, 2):
            locations[value] = np.argwhere(labels == value)
        name = str(images / f"case_{number}")
        nnUNetDatasetNumpy.save_case(image.astype(np.float32), labels, {"class_locations": locations}, name)

    torch.manual_seed(0)
    np.random.seed(0)
    save_state(global_state(), folder / START)
    files = {START: file_sha256(folder / START)}
    for path in preprocessed.rglob("*.*"):
        files[str(path.relative_to(folder))] = file_sha256(path)
    write_json(folder / PLANNED, {"plans": PLANS, "files": files})
