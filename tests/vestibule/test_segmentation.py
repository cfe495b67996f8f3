"""The segmenter on a GPU without room, which a CPU plays here: nnU-Net's network is told to be out of memory."""

import numpy as np
import pytest
import torch

from vestibule.errors import InputError
from vestibule.pipeline import load_model
from vestibule.segmentation import Segmenter

SPACING = (3.0, 2.0, 2.0)


@pytest.fixture
def segmenter(tiny_bundle) -> Segmenter:
    return load_model(tiny_bundle, device="cpu").segmenter


@pytest.fixture
def attempts(segmenter, monkeypatch) -> list[bool]:
    """Where each attempt at a volume sums its patches: True for the device that runs the network."""
    predictor, found = segmenter._predictor, []
    slide = predictor._internal_predict_sliding_window_return_logits

    def noted(data, slicers, do_on_device=True):
        found.append(do_on_device)
        return slide(data, slicers, do_on_device)

    monkeypatch.setattr(predictor, "_internal_predict_sliding_window_return_logits", noted)
    # As on a GPU; nnU-Net leaves it off where it sees a CPU.
    monkeypatch.setattr(predictor, "perform_everything_on_device", True)
    return found


def run_out_of_memory(segmenter: Segmenter, monkeypatch, times: int) -> list[int]:
    """Make the network's first `times` calls fail; returns the batch sizes that it sees."""
    network, sizes = segmenter._predictor.network, []
    forward = network.forward

    def failing(patches):
        sizes.append(len(patches))
        if len(sizes) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(patches)

    monkeypatch.setattr(network, "forward", failing)
    return sizes


def volume() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (10, 24, 20)).astype(np.float32)


def test_a_full_gpu_sums_its_patches_on_the_cpu_and_gives_the_same(segmenter, attempts, monkeypatch):
    expected = segmenter.probabilities(volume(), SPACING)
    assert attempts == [True]
    sizes = run_out_of_memory(segmenter, monkeypatch, times=1)
    np.testing.assert_array_equal(segmenter.probabilities(volume(), SPACING), expected)
    assert attempts == [True, True, False]
    assert set(sizes) == {1}


def test_a_gpu_too_small_for_one_patch_is_named_and_costs_no_other_case(segmenter, attempts, monkeypatch):
    expected = segmenter.probabilities(volume(), SPACING)
    run_out_of_memory(segmenter, monkeypatch, times=2)
    with pytest.raises(InputError, match="too little free memory for one patch of 8 x 16 x 16 voxels"):
        segmenter.probabilities(volume(), SPACING)
    assert attempts == [True, True, False]
    np.testing.assert_array_equal(segmenter.probabilities(volume(), SPACING), expected)


def test_parameters_of_a_fold_are_held_once_under_all_their_names(segmenter):
    (state,) = segmenter.states
    held = {value.data_ptr() for value in state.values()}
    assert len(held) == len(list(segmenter.network.parameters()))
    # nnU-Net lists most of them under several.
    assert len(state) > len(held)
    in_network = {value.data_ptr() for value in segmenter.network.parameters()}
    assert not held & in_network
