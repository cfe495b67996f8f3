"""Prediction on a device: the masks of the CPU, and an end in one line where memory is short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.scanner import sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.inputs import find_cases
from vestibule.networks import GeneratorConfig, build_generator
from vestibule.pipeline import Model, load_model
from vestibule.predict import predict_cases
from vestibule.preprocessing import to_working
from vestibule.translation import translate
from vestibule.volume import Volume, write_volume

UNDECIDED = 0.02
"""Where the two most probable labels are closer than this on the CPU, another rounding may choose the other one."""


@pytest.fixture(scope="module")
def head() -> Volume:
    """T2 of a phantom."""
    config = PhantomConfig(shape_zyx=(12, 96, 96), spacing_zyx=(2.5, 1.6, 1.6), volume_mm3=(2000.0, 9800.0))
    random = np.random.default_rng(0)
    protocol = sample_protocol("ldn", "T2", random)
    patient = make_patient(config, random)
    image, _ = render(patient, SEQUENCES[protocol.sequence], sample_geometry(protocol, config, random), random)
    return image


@pytest.fixture(scope="module")
def weights(repository: Path) -> Path:
    """The bundle that comes with the toolkit."""
    return repository / "weights" / "phantom"


def probabilities_of(model: Model, volume: Volume) -> np.ndarray:
    """Class probabilities (C, Z, Y, X) on the working grid."""
    working = to_working(volume, model.preprocessing)
    return model.segmenter.probabilities(model.synthetic_t1(working), working.geometry.spacing_zyx)


@pytest.mark.parametrize("arm", ["baseline", "oneshot"])
def test_labels_are_those_of_the_cpu_but_where_two_are_as_probable(weights, head, device, arm):
    expected = probabilities_of(load_model(weights, arm, "cpu"), head)
    found = probabilities_of(load_model(weights, arm, device.type), head)
    two_best = np.sort(expected, axis=0)[-2:]
    decided = two_best[1] - two_best[0] > UNDECIDED
    assert decided.mean() > 0.9
    labels = expected.argmax(axis=0)
    assert labels.any()
    assert np.array_equal(found.argmax(axis=0)[decided], labels[decided])


@pytest.fixture
def little_memory(gpu):
    """Gives the process a share of the GPU's memory, and all of it afterwards."""

    def limit(megabytes: float) -> None:
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(gpu).total_memory
        held = torch.cuda.memory_reserved(gpu)
        torch.cuda.set_per_process_memory_fraction((held + megabytes * 2**20) / total, gpu)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    torch.cuda.empty_cache()


@pytest.mark.gpu
def test_translation_takes_fewer_slices_at_once_where_memory_is_short(gpu, little_memory):
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig("resnet", width=32, blocks=2)).to(gpu)
    slices = np.random.default_rng(0).uniform(-1, 1, (8, 256, 256)).astype(np.float32)
    expected = translate(generator, slices, batch_size=1)
    # cuDNN's workspace and one slice's features fit, and eight slices' do not.
    little_memory(160)
    found = translate(generator, slices, batch_size=8)
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.gpu
def test_a_gpu_without_room_is_told_in_one_line_and_the_next_case_is_done(weights, head, gpu, little_memory, tmp_path):
    model = load_model(weights, "oneshot", "cuda")
    edition = get_edition(model.edition)
    images = tmp_path / "images"
    images.mkdir()
    write_volume(images / edition.target_name("crossmoda2021_ldn_1"), head)
    (tmp_path / "masks").mkdir()
    cases = find_cases(images, tmp_path / "masks", edition).cases

    little_memory(1)
    failed = predict_cases(model.run, cases, edition)
    (failure,) = [line for _, line in failed.failures]
    assert "memory" in failure
    assert "\n" not in failure

    torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    assert predict_cases(model.run, cases, edition).failures == []


def test_a_device_that_is_not_there_is_refused(weights, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device found; use --device cpu"):
        load_model(weights, "oneshot", "cuda")
