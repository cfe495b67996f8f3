import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from training.config import RunConfig
from training.gan import distributed as group
from training.runner import read_json, run_stage, write_json

DRIVER = Path(__file__).with_name("train_together.py")
FILES = ("cyclegan/source_to_target", "cyclegan/target_to_source", "pix2pix/generator")


@pytest.fixture
def prepared(run_dir):
    """A run with the stages before the two that are trained together."""
    for stage in ("prepare", "transfer"):
        write_json(run_dir / stage / "stage.json", {"outputs": {}})
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
    assert done.stdout.count("cyclegan: CycleGAN") == 1
    together = {name: load_file(prepared / f"{name}.safetensors") for name in FILES}
    for name in ("cyclegan", "pix2pix"):
        run_stage(name, with_batch(config, 2), prepared)
    for name in FILES:
        alone = load_file(prepared / f"{name}.safetensors")
        # Not the biases: before a norm they have no gradient but rounding, of which Adam makes a whole step.
        apart = {key: float((alone[key] - together[name][key]).abs().max()) for key in alone if alone[key].ndim > 1}
        assert len(apart) > 3
        # Four steps of 2e-4 were made; rounding is that of sums in another order.
        assert max(apart.values()) < 2e-5, (name, apart)


def test_alone_nothing_changes():
    assert (group.world_size(), group.rank(), group.leads()) == (1, 0, True)
    batch = torch.arange(3.0)
    assert group.together(lambda x: 2 * x, batch).tolist() == [0.0, 2.0, 4.0]
    assert group.own_share(lambda: "drawn") == "drawn"
    assert group.from_leader(lambda: 7) == 7


def test_each_process_takes_its_own_of_all_draws(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    draws = iter("abc")
    assert group.own_share(lambda: next(draws)) == "b"
    assert next(draws, None) is None
    assert not group.leads()
