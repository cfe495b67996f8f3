"""Whole stages on a GPU: the chain from phantoms to a bundle, a training that is stopped, and processes under NCCL."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from training.gan.distributed import launch_fabric
from training.gan.loop import fit
from training.stages.cyclegan import CycleGAN
from vestibule.volume import read_scan

pytestmark = pytest.mark.gpu

DRIVER = Path(__file__).parents[1] / "training" / "gan" / "train_together.py"


@pytest.fixture
def tiny(repository) -> Path:
    """A configuration of every stage at its smallest."""
    return repository / "tests" / "reliability" / "faults" / "tiny.yaml"


def vestibule(*arguments: object, hidden: bool = False) -> str:
    """What a command prints; with `hidden`, in a process that sees no GPU."""
    environment = dict(os.environ)
    if hidden:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "vestibule", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def first_losses(run_dir: Path) -> dict[str, float]:
    """The first row of the CycleGAN's losses, without the seconds."""
    with (run_dir / "cyclegan" / "losses.csv").open() as file:
        row = next(csv.DictReader(file))
    del row["seconds"]
    return {name: float(value) for name, value in row.items()}


def test_every_stage_trains_on_a_gpu_and_its_bundle_predicts_alike_on_both(gpu, tiny, tmp_path):
    on_gpu = tmp_path / "gpu"
    on_cpu = tmp_path / "cpu"
    vestibule("train", "run", "--config", tiny, "--run", on_gpu)
    for stage in ("phantom", "prepare", "cyclegan"):
        vestibule("train", stage, "--config", tiny, "--run", on_cpu, hidden=True)
    assert first_losses(on_gpu) == pytest.approx(first_losses(on_cpu), rel=0.1, abs=0.02)

    bundle = on_gpu / "export" / "bundle"
    vestibule("weights", "verify", bundle, hidden=True)
    (images,) = (on_gpu / "phantom" / "data").glob("*validation*")
    for device in ("cuda", "cpu"):
        vestibule("predict", images, tmp_path / device, "--weights", bundle, "--device", device)
    masks = sorted((tmp_path / "cpu").glob("*.nii.gz"))
    assert masks
    for path in masks:
        expected = read_scan(path).voxels
        found = read_scan(tmp_path / "cuda" / path.name).voxels
        # Networks that were trained for seconds decide little, so that rounding may turn some voxels.
        assert (found != expected).mean() < 0.02


def test_a_training_that_is_stopped_goes_on_to_the_same_losses(gpu, cyclegan, tmp_path):
    def train(folder: Path, stop_after: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        model = CycleGAN(cyclegan, launch_fabric("cuda", "32-true"))
        random = np.random.default_rng(0)
        taken = 0

        def sample() -> tuple[torch.Tensor, ...]:
            nonlocal taken
            if taken == stop_after:
                raise KeyboardInterrupt
            taken += 1
            both = torch.from_numpy(random.uniform(-1, 1, (2, 2, 1, 32, 32)).astype(np.float32))
            choices = torch.from_numpy(random.random((2, 2, 2)))
            return both[0].to(gpu), both[1].to(gpu), choices

        fit(model, sample, random, folder)

    # A checkpoint after each step.
    cyclegan = type(cyclegan)(**{**vars(cyclegan), "checkpoint_every": 1})
    train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stop_after=5)
    train(tmp_path / "stopped")

    def last(folder: Path) -> dict[str, float]:
        with (folder / "losses.csv").open() as file:
            row = list(csv.DictReader(file))[-1]
        del row["seconds"]
        return {name: float(value) for name, value in row.items()}

    # Some of CUDA's backward passes sum in an order of their own each time.
    assert last(tmp_path / "stopped") == pytest.approx(last(tmp_path / "whole"), rel=0.02, abs=1e-3)


def test_processes_under_nccl_train_together(gpu, tiny, tmp_path):
    run = tmp_path / "run"
    config = yaml.safe_load(tiny.read_text())
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    for stage in ("phantom", "prepare", "cyclegan", "harmoniser", "transfer"):
        vestibule("train", stage, "--config", path, "--run", run)
    # The CycleGAN anew, and pix2pix, with as many processes as there are GPUs, two at most.
    (run / "cyclegan" / "stage.json").unlink()
    processes = min(2, torch.cuda.device_count())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run([*launcher, str(DRIVER), str(path), str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("cyclegan: done in") == 1
    for name in ("cyclegan/target_to_source", "pix2pix/generator"):
        weights = load_file(run / f"{name}.safetensors")
        assert all(bool(torch.isfinite(value).all()) for value in weights.values())
