from dataclasses import replace

import pytest

from training.config import stages_of
from training.stage_table import EXPORT, SUPERVISED
from training.stages.supervised import train
from vestibule.errors import InputError
from vestibule.files import read_json, write_json


def test_upper_bound_is_trained_only_where_it_is_asked_for(config):
    assert SUPERVISED not in stages_of(config)
    assert stages_of(replace(config, arms=(*config.arms, "supervised")))[-2:] == [SUPERVISED, EXPORT]


def test_unknown_arm_is_refused_with_the_known_ones(config):
    with pytest.raises(ValueError, match="supervised"):
        replace(config, arms=(*config.arms, "unsupervised"))


def test_t2_without_a_reference_is_refused_by_name(config, run_dir):
    index = read_json(run_dir / "prepare" / "index.json")
    targets = [entry for entry in index["cases"] if entry["domain"] == "target"]
    targets[1]["label"] = None
    write_json(run_dir / "prepare" / "index.json", index)
    with pytest.raises(InputError, match="case_1: has no reference"):
        train(config, run_dir)
