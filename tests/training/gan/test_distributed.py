import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from training.config import RunConfig
from training.gan import distributed, ranks
from training.gan.checkpoint import TrainingState, save_weights
from training.gan.devices import make_fabric
from training.gan.logs import LossLog
from training.runner import run_stage
from training.stage_table import CYCLEGAN, PIX2PIX
from vestibule.files import read_json, write_json

DRIVER = Path(__file__).with_name("train_together.py")
FILES = ("cyclegan/source_to_target", "cyclegan/target_to_source", "pix2pix/generator")


@pytest.fixture
def prepared(run_dir):
    """A run with the stages before the two that are trained together."""
    for stage in ("prepare", "transfer"):
        write_json(run_dir / stage / "stage.json", {"config": {}, "outputs": {}})
    entries = [entry for entry in read_json(run_dir / "prepare" / "index.json")["cases"] if entry["domain"] == "source"]
    moved = [
        {**entry, "image": f"../prepare/{entry['image']}", "label": f"../prepare/{entry['label']}"} for entry in entries
    ]
    write_json(run_dir / "transfer" / "index.json", {"cases": moved})
    return run_dir


def with_batch(config: RunConfig, size: int) -> RunConfig:
    stages = {
        name: replace(
            getattr(config, name), sampling=replace(getattr(config, name).sampling, batch_size=size), iterations=4
        )
        for name in ("cyclegan", "pix2pix")
    }
    stages["cyclegan"] = replace(
        stages["cyclegan"], align=True, sampling=replace(stages["cyclegan"].sampling, crop_yx=(24, 32))
    )
    return replace(config, **stages)


def test_two_processes_end_with_the_weights_of_one_with_twice_the_batch(config, prepared, tmp_path):
    config_path = tmp_path / "config.yaml"
    config_path.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(with_batch(config, 1))))))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launcher, str(DRIVER), str(config_path), str(prepared)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("cyclegan: Learn phi0") == 1
    together = {name: load_file(prepared / f"{name}.safetensors") for name in FILES}
    for stage in (CYCLEGAN, PIX2PIX):
        run_stage(stage, with_batch(config, 2), prepared)
    for name in FILES:
        alone = load_file(prepared / f"{name}.safetensors")
        # Not the biases: before a norm they have no gradient but rounding, of which Adam makes a whole step.
        apart = {key: float((alone[key] - together[name][key]).abs().max()) for key in alone if alone[key].ndim > 1}
        assert len(apart) > 3
        # Four steps of 2e-4 were made; rounding is that of sums in another order.
        assert max(apart.values()) < 2e-5, (name, apart)


def test_alone_nothing_changes():
    fabric = make_fabric("32-true")
    assert (fabric.world_size, fabric.global_rank, ranks.leads()) == (1, 0, True)
    batch = torch.arange(3.0)
    assert distributed.together(fabric, lambda x: 2 * x, batch).tolist() == [0.0, 2.0, 4.0]
    assert distributed.mean_over_processes(fabric, batch).tolist() == [0.0, 1.0, 2.0]
    assert distributed.own_share(fabric, lambda: "sampled") == "sampled"
    assert ranks.from_leader(lambda: 7) == 7


def test_each_process_takes_its_own_of_all_samples():
    second_of_three = SimpleNamespace(world_size=3, global_rank=1)
    samples = iter("abc")
    assert distributed.own_share(second_of_three, lambda: next(samples)) == "b"
    assert next(samples, None) is None


def test_each_process_takes_its_part_of_what_all_make_together():
    others = torch.tensor([[1.0, 2.0], [5.0, 6.0], [8.0, 9.0]])
    second_of_three = SimpleNamespace(global_rank=1, all_gather=lambda own: others)
    turned = distributed.together(second_of_three, lambda batch: batch.flip(0), others[1])
    assert turned.tolist() == [6.0, 5.0]


def test_gradients_are_averaged_where_there_are_any():
    weights = [torch.nn.Parameter(torch.zeros(size)) for size in ((2, 1), (3,), (1,))]
    weights[0].grad = torch.tensor([[1.0], [2.0]])
    weights[2].grad = torch.tensor([3.0])
    # The other process has gradients of 0, so that the mean is half of ours.
    two = SimpleNamespace(world_size=2, all_reduce=lambda own: own / 2)
    distributed.average_gradients(two, torch.optim.SGD(weights, 0.1))
    assert weights[0].grad.tolist() == [[0.5], [1.0]]
    assert weights[1].grad is None
    assert weights[2].grad.tolist() == [1.5]


@pytest.mark.parametrize(("rank", "writes"), [(0, True), (1, False)])
def test_only_the_first_process_writes(tmp_path, monkeypatch, rank, writes):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(0)).save()
    save_weights(torch.nn.Linear(1, 1), tmp_path / "weights.safetensors")
    log = LossLog(tmp_path, ("loss",))
    log.write(1, {"loss": 1.0})
    log.close()
    assert ranks.leads() == writes
    names = {"state.pt", "weights.safetensors", "losses.csv", "tensorboard"}
    assert {path.name for path in tmp_path.iterdir()} == (names if writes else set())


def test_a_process_in_a_job_of_slurm_is_alone_unless_torchrun_started_it(monkeypatch, recwarn):
    for name, value in (
        ("SLURM_NTASKS", "4"),
        ("SLURM_JOB_NAME", "train"),
        ("SLURM_JOB_ID", "7"),
        ("SLURM_PROCID", "2"),
    ):
        monkeypatch.setenv(name, value)
    fabric = make_fabric("32-true")
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
    assert ranks.leads()
    assert not [warning for warning in recwarn if "srun" in str(warning.message)]
