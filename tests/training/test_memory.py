"""A stage that the GPU cannot hold ends in one line: what was lacking, and what is kept."""

from types import SimpleNamespace

import pytest
import torch

from training import stage_module
from training.runner import run_stage
from training.stage_table import Stage
from vestibule.errors import InputError

FAKE = Stage("fake", "a fake", needs=(), sections=("cyclegan",), entry="somewhere:f")


def test_a_stage_that_the_gpu_cannot_hold_says_so_and_what_is_kept(config, tmp_path, monkeypatch):
    def train(config, run_dir):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(stage_module.importlib, "import_module", lambda name: SimpleNamespace(f=train))
    expected = (
        r"fake: the GPU is out of memory \(20.00 MiB were asked for\); .*; stage 'fake' had written no checkpoint"
    )
    with pytest.raises(InputError, match=expected):
        run_stage(FAKE, config, tmp_path)


def test_another_error_of_a_stage_is_a_mistake_and_not_hidden(config, tmp_path, monkeypatch):
    def train(config, run_dir):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(stage_module.importlib, "import_module", lambda name: SimpleNamespace(f=train))
    with pytest.raises(RuntimeError, match="size mismatch"):
        run_stage(FAKE, config, tmp_path)
