from dataclasses import replace

import pytest

from training.config import ARMS
from training.runner import read_json, stages_of, write_json
from training.stages.segmenter import train_supervised
from vestibule.errors import InputError


def test_upper_bound_is_trained_only_where_it_is_asked_for(config):
    assert "supervised" not in stages_of(config)
    assert stages_of(replace(config, arms=(*ARMS, "supervised")))[-2:] == ["supervised", "export"]


def test_unknown_arm_is_refused_with_the_known_ones(config):
    with pytest.raises(ValueError, match="supervised"):
        replace(config, arms=(*ARMS, "unsupervised"))


def test_t2_without_a_reference_is_refused_by_name(config, run_dir):
    index = read_json(run_dir / "prepare" / "index.json")
    targets = [entry for entry in index["cases"] if entry["domain"] == "target"]
    targets[1]["label"] = None
    write_json(run_dir / "prepare" / "index.json", index)
    with pytest.raises(InputError, match="case_1: has no reference"):
        train_supervised(config, run_dir)
