"""S_A: nnU-Net v2 on T1, by its own fingerprint, planning, preprocessing and trainer. Isensee et al. 2021.

What a small machine needs is overridden in the planner (channels, memory target) and in the trainer (epochs); the plan
that results travels with the weights.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import torch
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from safetensors.torch import save_file

from training.config import RunConfig, SegmenterConfig
from training.data.slices import PreparedCase, read_cases
from training.gan.devices import has_bfloat16, subnormals_as_zero
from training.stage_table import SEGMENTER, SUPERVISED
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.pipeline import pick_device
from vestibule.progress import track
from vestibule.volume import Geometry, Volume, write_volume

DATASET = "Dataset001_vestibule"
PLANS = "nnUNetPlans"


class Trainer(nnUNetTrainer):
    """nnU-Net's trainer with our length of training, and its prints in its log file alone."""

    def configure(self, config: SegmenterConfig) -> None:
        """Set the length of training and the optimiser; to be called before `initialize`."""
        self.optimiser_name = config.optimiser
        self.initial_lr = config.learning_rate
        self.oversample_foreground_percent = config.foreground_share
        self.num_epochs = config.epochs
        self.num_iterations_per_epoch = config.iterations_per_epoch
        self.num_val_iterations_per_epoch = max(1, config.iterations_per_epoch // 10)
        self.save_every = max(1, config.epochs // 10)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """nnU-Net's own optimiser, or AdamW under nnU-Net's own schedule."""
        if self.optimiser_name == "sgd":
            return super().configure_optimizers()
        optimiser = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=self.weight_decay)
        return optimiser, PolyLRScheduler(optimiser, self.initial_lr, self.num_epochs)

    def train_step(self, batch: dict) -> dict:
        """As nnU-Net's, under autocast on a CPU that has bfloat16 too."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.device.type == "cpu" and has_bfloat16(self.device)):
            return super().train_step(batch)

    def print_to_log_file(self, *args, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Keep the console for our own progress."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def plot_network_architecture(self) -> None:
        """Left out: it wants a drawing library that nothing else needs."""


def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train nnU-Net on the prepared T1 cases; leaves weights as safetensors, plans and dataset as JSON."""
    return train_on(read_cases(run_dir, "source"), "T1", config, SEGMENTER.folder(run_dir))


def train_supervised(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train the same on the prepared T2 cases: what the arms could reach at best.

    Raises InputError where a T2 case has no reference.
    """
    cases = read_cases(run_dir, "target")
    for case in cases:
        if case.label_path is None:
            raise InputError(f"{case.name}: has no reference; the arm 'supervised' needs labelled T2")
    return train_on(cases, "T2", config, SUPERVISED.folder(run_dir))


def train_on(cases: list[PreparedCase], channel: str, config: RunConfig, folder: Path) -> list[Path]:
    """Train nnU-Net on labelled `cases` whose images are of `channel` (`T1`, `T2`), with all it needs in `folder`."""
    settings = config.segmenter
    torch.manual_seed(config.seed)
    np.random.seed(config.seed)  # nnU-Net draws its patches from the global generator
    with _folders(folder / "nnunet"):
        if not (folder / "planned.json").is_file():
            write_dataset(cases, channel, config, folder / "nnunet" / "raw" / DATASET)
            threads = torch.get_num_threads()
            with contextlib.redirect_stdout(io.StringIO()):
                plan(settings)
            torch.set_num_threads(threads)  # the planner leaves its own number behind
            write_json(folder / "planned.json", {"plans": PLANS})
        return [path for fold in (settings.folds or ("all",)) for path in _train_fold(fold, settings, folder)]


def write_dataset(cases: list[PreparedCase], channel: str, config: RunConfig, folder: Path) -> None:
    """The prepared cases as an nnU-Net raw data set: images of `channel` in [-1, 1] and the labels of the edition."""
    for case in track(cases, "data set"):
        shape = case.image.shape
        geometry = Geometry(shape, case.spacing_zyx, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        image = Volume(np.asarray(case.image, dtype=np.float32), geometry)
        write_volume(folder / "imagesTr" / f"{case.name}_0000.nii.gz", image)
        write_volume(folder / "labelsTr" / f"{case.name}.nii.gz", Volume(np.asarray(case.labels), geometry))
    edition = get_edition(config.edition)
    labels = {"background": 0, **{f"label_{value}": value for value in edition.labels if value}}
    write_json(
        folder / "dataset.json",
        {"channel_names": {"0": channel}, "labels": labels, "numTraining": len(cases), "file_ending": ".nii.gz"},
    )


def plan(config: SegmenterConfig) -> None:
    """Fingerprint, plan and preprocess by nnU-Net's own code, with the configured channels and memory target."""
    workers = min(4, os.cpu_count() or 1)
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


def _train_fold(fold: int | str, config: SegmenterConfig, folder: Path) -> list[Path]:
    preprocessed = folder / "nnunet" / "preprocessed" / DATASET
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset = json.loads((preprocessed / "dataset.json").read_text(encoding="utf-8"))
    device = pick_device()
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = Trainer({**plans, "continue_training": False}, config.configuration, fold, dataset, device)
        trainer.configure(config)
        trainer.initialize()
    latest = Path(trainer.output_folder) / "checkpoint_latest.pth"
    if latest.is_file():
        trainer.load_checkpoint(str(latest))
    with _few_workers():
        _fit(trainer)
    paths = [folder / f"fold_{fold}.safetensors", folder / "plans.json", folder / "dataset.json"]
    # Parameters, not the state dict: nnU-Net's networks list each tensor under several names.
    save_file({name: value.detach().contiguous().cpu() for name, value in trainer.network.named_parameters()}, paths[0])
    write_json(paths[1], plans)
    write_json(paths[2], dataset)
    return paths


@subnormals_as_zero()
def _fit(trainer: Trainer) -> None:
    trainer.on_train_start()
    epochs = range(trainer.current_epoch, trainer.num_epochs)
    for _ in track(epochs, SEGMENTER.name, trainer.num_epochs, trainer.current_epoch):
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        steps = range(trainer.num_iterations_per_epoch)
        trainer.on_train_epoch_end([trainer.train_step(next(trainer.dataloader_train)) for _ in steps])
        with torch.no_grad():
            trainer.on_validation_epoch_start()
            steps = range(trainer.num_val_iterations_per_epoch)
            trainer.on_validation_epoch_end([trainer.validation_step(next(trainer.dataloader_val)) for _ in steps])
        trainer.on_epoch_end()
    trainer.on_train_end()


@contextlib.contextmanager
def _environment(**variables: str):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _folders(root: Path):
    # nnU-Net finds its folders by environment variables.
    return _environment(**{f"nnUNet_{part}": str(root / part) for part in ("raw", "preprocessed", "results")})


def _few_workers():
    # Augmentation in processes of its own pays only where there are cores to spare.
    spare = (os.cpu_count() or 1) > 4 or "nnUNet_n_proc_DA" in os.environ
    return contextlib.nullcontext() if spare else _environment(nnUNet_n_proc_DA="0")
