"""S_A: nnU-Net v2 on T1, by its own fingerprint, planning, preprocessing and trainer. Isensee et al. 2021.

What a small machine needs is overridden in the planner (channels, memory target) and in the trainer (epochs); the plan
that results travels with the weights.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.crossval_split import generate_crossval_split

from training.augmentation.local_contrast import LocalContrast
from training.config import RunConfig, SegmenterConfig
from training.config.segmenter import SPLITS
from training.data.raw_cases import KnownCases
from training.data.slices import PreparedCase, read_cases
from training.gan.checkpoint import read_state
from training.gan.devices import subnormals_as_zero
from training.nnunet.environment import environment, few_workers, workers_for
from training.nnunet.randomness import global_state, seed_all, seed_plainly, set_global_state
from training.nnunet.trained import is_trained
from training.nnunet.trainer import FORMER_NAME, Trainer
from training.parts import Layers, Part
from training.postprocessing.held_back import remaining
from training.stage_table import SEGMENTER
from training.status import measured
from vestibule.checkpoints import save_state
from vestibule.device import pick_device
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import atomic, file_sha256, parse_json, read_json, write_json
from vestibule.finite import require_finite
from vestibule.geometry import settled
from vestibule.progress import track
from vestibule.tensors import write_tensors
from vestibule.volume import Geometry, Volume, write_volume

DATASET = "Dataset001_vestibule"
LISTED = "dataset"
"""Key of a raw data set's description with the files of each case. Without it nnU-Net starts twelve processes to find
them, three times over."""
PLANS = "nnUNetPlans"
ALL = "all"
"""nnU-Net's name for a fold that holds every case."""
PLANNED = "planned.json"
"""Written once nnU-Net has planned and preprocessed."""
SHARED = "plan"
"""Part that all folds need: splits, plans and preprocessed cases."""
START = "planned.pt"
"""State of the random generators after that."""
SPLIT_SEED = 12345
"""Of nnU-Net's own splits."""
ORIGIN = (0.0, 0.0, 0.0)
DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
"""Prepared volumes have left the patient's space; these only fill the files' headers."""


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where nnU-Net cannot be trained on so many T1 cases, or on this device."""
    check_training(config, labelled(config, known, "source"), "labelled T1")


def labelled(config: RunConfig, known: KnownCases, domain: str) -> int:
    """How many cases of a domain are left to train on. Raises InputError where all of them would be held back."""
    count = len(known.of(domain))
    held = config.segmenter.held_back
    if held >= count > 0:
        raise InputError(f"segmenter.held_back is {held}, and there are {count} labelled cases; lower it")
    return count - held


def check_training(config: RunConfig, cases: int, kind: str) -> None:
    """Raise InputError where nnU-Net cannot make its folds of `cases`, or the GPU holds less than it is to plan for.

    Args:
        config: The whole configuration.
        cases: Number of training cases.
        kind: What they are, for the message.
    """
    settings = config.segmenter
    if settings.folds and cases < SPLITS:
        raise InputError(
            f"segmenter.folds {list(settings.folds)}: nnU-Net makes {SPLITS} folds of its cases, and there are {cases} "
            f"{kind} cases; set segmenter.folds: [] for one network on all of them"
        )
    device = pick_device()
    if device.type == "cuda":
        available_gb = torch.cuda.get_device_properties(device).total_memory / 1e9
        if settings.gpu_memory_gb > available_gb:
            raise InputError(
                f"segmenter.gpu_memory_gb is {settings.gpu_memory_gb:g}, and the GPU has {available_gb:.1f} GB; lower "
                "the key"
            )


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the prepared T1 cases; leaves weights as safetensors, plans and dataset as JSON."""
    cases = remaining(read_cases(run_dir, "source"), config.segmenter.held_back, config.seed)
    return train_on(cases, "T1", config, SEGMENTER.folder(run_dir))


def parts(config: RunConfig) -> Layers:
    """The folds, after what all of them share: splits, plans and preprocessed cases."""
    return fold_parts(config)


def make_part(config: RunConfig, run_dir: Path, name: str) -> None:
    """Make what the folds share, or one fold."""
    cases = remaining(read_cases(run_dir, "source"), config.segmenter.held_back, config.seed)
    make_part_on(name, cases, "T1", config, SEGMENTER.folder(run_dir))


def fold_parts(config: RunConfig) -> Layers:
    """Parts of a training of several folds; none where there is one network."""
    folds = config.segmenter.folds
    if len(folds) < 2:
        return ()
    return (Part(SHARED, trains=False, uses_gpus=False),), tuple(Part(f"fold_{fold}") for fold in folds)


def make_part_on(
    name: str,
    cases: list[PreparedCase],
    channel: str,
    config: RunConfig,
    folder: Path,
    epochs: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> None:
    """Make one of `fold_parts`; the other arguments are those of `train_on`.

    Raises InputError for a fold whose shared part is not there.
    """
    with _folders(folder / "nnunet"):
        is_ready = _is_ready(folder)
        if name == SHARED:
            if not is_ready:
                _make_ready(cases, channel, config, folder)
            return
        if not is_ready:
            raise InputError(f"{folder}: is not planned and preprocessed, or damaged; make the part {SHARED!r} first")
        _train_fold(int(name.removeprefix("fold_")), config, folder, epochs, weights or {})


def train_on(
    cases: list[PreparedCase],
    channel: str,
    config: RunConfig,
    folder: Path,
    epochs: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> list[Path]:
    """Train nnU-Net on labelled cases.

    Args:
        cases: Prepared cases with labels.
        channel: What their images show, `T1` or `T2`.
        config: The configuration of the run.
        folder: Where nnU-Net's own files, the weights, the plans and the description of the data set are left.
        epochs: Length of the training; None: as configured.
        weights: How often cases are sampled, by name, relative to those that are not named.

    Returns:
        Weights of each fold as safetensors, with plans and description as JSON.
    """
    paths = []
    with _folders(folder / "nnunet"):
        if not _is_ready(folder):
            _make_ready(cases, channel, config, folder)
        for fold in config.segmenter.folds or (ALL,):
            _train_fold(fold, config, folder, epochs, weights or {})
            paths.append(folder / f"fold_{fold}.safetensors")
    return [*paths, folder / "plans.json", folder / "dataset.json"]


def _make_ready(cases: list[PreparedCase], channel: str, config: RunConfig, folder: Path) -> None:
    """Write the data set, plan and preprocess; leaves the state of the random generators after it."""
    seed_plainly(config.seed)
    # nnU-Net takes over what it finds in plans that are there, damaged ones too.
    shutil.rmtree(folder / "nnunet" / "preprocessed", ignore_errors=True)
    write_dataset(cases, channel, config, folder / "nnunet" / "raw" / DATASET)
    threads = torch.get_num_threads()
    with contextlib.redirect_stdout(io.StringIO()):
        plan(config.segmenter, len(cases))
    # The planner leaves its own number behind.
    torch.set_num_threads(threads)
    forget_files(folder / "nnunet" / "preprocessed" / DATASET / "dataset.json")
    if config.segmenter.folds:
        # As the trainer would, but once, before several folds begin at the same time.
        names = sorted(case.name for case in cases)
        splits = generate_crossval_split(names, seed=SPLIT_SEED, n_splits=SPLITS)
        write_json(folder / "nnunet" / "preprocessed" / DATASET / "splits_final.json", splits)
    save_state(global_state(), folder / START)
    files = {START: file_sha256(folder / START)}
    for path in sorted((folder / "nnunet" / "preprocessed").rglob("*.*")):
        files[str(path.relative_to(folder))] = file_sha256(path)
    write_json(folder / PLANNED, {"plans": PLANS, "files": files})


def _is_ready(folder: Path) -> bool:
    """Whether an earlier try has planned and preprocessed, and every byte of that is as it was."""
    planned = read_json(folder / PLANNED)
    if not planned:
        return False
    # Earlier versions left neither hashes nor a state.
    files = planned.get("files")
    if files is None:
        return True
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != sha256:
            return False
    return True


def write_dataset(cases: list[PreparedCase], channel: str, config: RunConfig, folder: Path) -> None:
    """Write prepared cases as an nnU-Net raw data set.

    Args:
        cases: Cases with images in [-1, 1] and labels.
        channel: What their images show, `T1` or `T2`.
        config: Names the edition, whose labels the data set has.
        folder: The data set's folder, in which images, labels and `dataset.json` are written.
    """
    listed = {}
    # In the order in which nnU-Net would find them.
    for case in track(sorted(cases, key=_name), "data set"):
        image = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        labels = np.asarray(case.labels)
        # As it is told to the network when it predicts.
        spacing_zyx = settled(case.spacing_zyx)
        geometry = Geometry(image.shape, spacing_zyx, ORIGIN, DIRECTION)
        image_name = f"imagesTr/{case.name}_0000.nii.gz"
        label_name = f"labelsTr/{case.name}.nii.gz"
        write_volume(folder / image_name, Volume(image, geometry))
        write_volume(folder / label_name, Volume(labels, geometry))
        listed[case.name] = {"images": [image_name], "label": label_name}

    names = {"background": 0}
    for value in get_edition(config.edition).labels:
        if value:
            names[f"label_{value}"] = value
    description = {
        "channel_names": {"0": channel},
        "labels": names,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        LISTED: listed,
    }
    write_json(folder / "dataset.json", description)


def forget_files(path: Path) -> None:
    """Take the names of files out of the description that nnU-Net has copied: what is trained has no use for them."""
    description = parse_json(path.read_bytes())
    del description[LISTED]
    write_json(path, description)


def _name(case: PreparedCase) -> str:
    return case.name


def plan(config: SegmenterConfig, cases: int) -> None:
    """Fingerprint, plan and preprocess so many cases by nnU-Net's code, with the configured channels and memory."""
    workers = workers_for(cases, os.cpu_count() or 1)
    extractor = DatasetFingerprintExtractor(1, workers)
    extractor.show_progress_bar = False
    extractor.run(overwrite_existing=True)
    planner = ExperimentPlanner(1, gpu_memory_target_in_gb=config.gpu_memory_gb)
    if config.features_base:
        planner.UNet_base_num_features = config.features_base
    if config.max_features:
        planner.UNet_max_features_3d = config.max_features
        planner.UNet_max_features_2d = config.max_features
    planner.plan_experiment()
    preprocessor = DefaultPreprocessor(verbose=False)
    preprocessor.show_progress_bar = False
    preprocessor.run(1, config.configuration, PLANS, workers)


def _train_fold(
    fold: int | str, config: RunConfig, folder: Path, epochs: int | None, case_weights: Mapping[str, float]
) -> None:
    """Train a fold, unless it is there whole; leaves weights, plans and description."""
    if is_trained(fold, folder):
        return

    weights = folder / f"fold_{fold}.safetensors"
    settings = config.segmenter
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    contrast = None
    if config.local_contrast is not None:
        contrast = LocalContrast(config.local_contrast, get_edition(config.edition))
    preprocessed = folder / "nnunet" / "preprocessed" / DATASET
    plans = parse_json((preprocessed / f"{PLANS}.json").read_bytes())
    dataset = parse_json((preprocessed / "dataset.json").read_bytes())

    rename_former_results(folder / "nnunet" / "results" / DATASET, settings.configuration)
    _seed_fold(fold, config.seed, folder)
    with contextlib.redirect_stdout(io.StringIO()):
        # The trainer reads this from its plans, where it is not to be left behind.
        plans_of_trainer = {**plans, "continue_training": False}
        trainer = Trainer(plans_of_trainer, settings.configuration, fold, dataset, pick_device())
        trainer.configure(settings, contrast)
        trainer.seed = config.seed
        trainer.case_weights = case_weights
        trainer.where = str(folder)
        trainer.initialize()
    trainer.go_on()
    if trainer.current_epoch < trainer.num_epochs:
        with few_workers():
            _fit(trainer)

    tensors = {}
    # Parameters, not the state dict: nnU-Net's networks list each tensor under several names.
    for name, value in trainer.network.named_parameters():
        tensors[name] = value.detach().contiguous().cpu()
    require_finite(tensors, weights)
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    with atomic(weights) as partial:
        write_tensors(partial, tensors)
    write_json(folder / f"fold_{fold}.json", {"sha256": file_sha256(weights)})


def _seed_fold(fold: int | str, seed: int, folder: Path) -> None:
    """Seed what a fold samples, whichever folds were trained before it in this process or another."""
    start = folder / START
    if start.is_file():
        set_global_state(read_state(start, f"and {PLANNED} to plan anew"))
    else:
        # An earlier version planned, and left no state.
        seed_plainly(seed)
    # The first goes on from where planning has left the generators, each other one from numbers of its own.
    if fold not in (ALL, 0):
        seed_all(seed, int(fold))


def rename_former_results(results: Path, configuration: str) -> None:
    """Call the folder of a training that an earlier version began as this one does, so that it goes on there."""
    ending = f"__{PLANS}__{configuration}"
    former = results / f"{FORMER_NAME}{ending}"
    if former.is_dir():
        former.rename(results / f"{Trainer.__name__}{ending}")


@subnormals_as_zero()
def _fit(trainer: Trainer) -> None:
    """nnU-Net's own loop, behind our progress bar."""
    trainer.on_train_start()
    epochs = range(trainer.current_epoch, trainer.num_epochs)
    for _ in track(epochs, SEGMENTER.name, trainer.num_epochs, trainer.current_epoch):
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        outputs = []
        for _ in range(trainer.num_iterations_per_epoch):
            batch = next(trainer.dataloader_train)
            outputs.append(trainer.train_step(batch))
        trainer.on_train_epoch_end(outputs)
        measured({"loss": float(np.mean([output["loss"] for output in outputs]))})

        with torch.no_grad():
            trainer.on_validation_epoch_start()
            outputs = []
            for _ in range(trainer.num_val_iterations_per_epoch):
                batch = next(trainer.dataloader_val)
                outputs.append(trainer.validation_step(batch))
            trainer.on_validation_epoch_end(outputs)
        trainer.on_epoch_end()
    trainer.on_train_end()


def _folders(root: Path) -> AbstractContextManager[None]:
    # nnU-Net finds its folders by environment variables.
    return environment(
        nnUNet_raw=str(root / "raw"),
        nnUNet_preprocessed=str(root / "preprocessed"),
        nnUNet_results=str(root / "results"),
    )
