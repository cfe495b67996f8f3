import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from training.gan.devices import subnormals_as_zero
from training.stages import cyclegan, harmoniser, pix2pix
from vestibule.files import read_json, write_json


def subnormals_count() -> bool:
    """Whether this thread computes with subnormal numbers, in NumPy and in torch."""
    smallest = math.ulp(0.0)
    return bool(np.float64(smallest) * 1.0 == smallest and (torch.tensor(1e-40) * 1.0).item() > 0)


def test_subnormals_are_zero_inside_and_numbers_again_outside_whatever_happens():
    assert subnormals_count()
    with subnormals_as_zero():
        assert not subnormals_count()
    assert subnormals_count()

    @subnormals_as_zero()
    def fail():
        assert not subnormals_count()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert subnormals_count()


def test_trainers_leave_the_arithmetic_of_the_process_as_it_was(config, run_dir):
    index = read_json(run_dir / "prepare" / "index.json")
    pairs = [
        {**entry, "image": f"../prepare/{entry['image']}", "label": f"../prepare/{entry['label']}"}
        for entry in index["cases"]
        if entry["domain"] == "source"
    ]
    write_json(run_dir / "transfer" / "index.json", {"cases": pairs})
    for stage in (cyclegan, pix2pix, harmoniser):
        stage.train(config, run_dir)
        assert subnormals_count(), stage.__name__
    # With subnormals as zero this recurses until the stack is full.
    places = np.stack([axis.ravel() for axis in np.mgrid[:40, :1, :40]], axis=1)
    assert cKDTree(np.concatenate([places, [[0, 100, 0], [1, 200, 0]]])).size > 1
