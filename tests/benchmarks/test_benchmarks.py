"""What the benchmarks compare is comparable; figures are printed and never asserted."""

import argparse
import importlib
import re
import subprocess
import sys

import pytest
import torch

from training.config import CycleGANConfig, SinGANConfig, read_config
from vestibule.files import read_json
from vestibule.networks import GeneratorConfig


@pytest.fixture
def benchmark(repository, monkeypatch):
    """A module of benchmarks/ by its name, as `python benchmarks/...` finds it."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda published: published.resnet(64, 9), 11_365_633),
        (lambda published: published.patch_discriminator(1, 64, 3, published.nn.InstanceNorm2d), 2_762_689),
    ],
)
def test_what_is_timed_against_has_the_published_size(benchmark, make, parameters):
    network = make(benchmark("published"))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_schedule_decides_what_it_names_and_leaves_the_rest(benchmark, repository):
    own = read_config(repository / "configs" / "phantom.yaml").harmoniser
    paper = benchmark("singan").scheduled(own, "paper")
    assert (paper.iterations, paper.max_width, paper.reconstruction_weight) == (2000, 128, 10.0)
    assert (paper.coarsest_px, paper.scale_factor) == (own.coarsest_px, own.scale_factor)
    assert benchmark("singan").scheduled(paper, "fast").iterations == SinGANConfig().iterations


def test_ours_and_the_published_cyclegan_go_the_same_way_from_the_same_weights(benchmark):
    torch.manual_seed(0)
    module = benchmark("cyclegan")
    arguments = argparse.Namespace(width=4, blocks=1, critic_width=4)
    config = CycleGANConfig(generator=GeneratorConfig("resnet", 4, 1), discriminator_width=4)
    steps = module.steps_of(arguments, config)
    # Rounding differs from the first update on: Adam's first steps take the sign of a gradient, however small.
    for tolerance in (1e-5, 0.02, 0.02):
        source, target = (torch.rand(2, 1, 32, 32) * 2 - 1 for _ in range(2))
        published = steps[module.PUBLISHED](source, target)
        ours = steps["ours, float32"](source, target, torch.zeros(2, 2, 2))
        for name, loss in published.items():
            assert float(ours[name]) == pytest.approx(float(loss.detach()), rel=tolerance), name


def test_ours_and_the_published_pix2pix_start_with_the_same_losses(benchmark):
    torch.manual_seed(0)
    module = benchmark("pix2pix")
    arguments = argparse.Namespace(architecture="resnet", width=4, blocks=1, critic_width=4, steps=10)
    steps = module.steps_of(arguments)
    condition, real = torch.rand(2, 1, 1, 32, 32) * 2 - 1
    published, ours = steps[module.PUBLISHED](condition, real), steps["ours, float32"](condition, real)
    assert float(ours["pixel"]) == pytest.approx(float(published["pixel"].detach()), rel=1e-4)


@pytest.mark.parametrize("kind", ["gpnn", "patch_diffusion", "gpdm"])
def test_harmoniser_is_timed_at_each_of_its_levels(benchmark, kind):
    found = benchmark("harmonisers").seconds_at_levels(kind, 28, 1)
    assert list(found) == [f"level {level}" for level in range(1, len(found) + 1)]
    assert min(found.values()) > 0


def test_table_of_a_gpu_goes_through_and_goes_on_where_it_was_cut_short(benchmark, monkeypatch, tmp_path):
    gpu = benchmark("gpu")
    command = ["gpu.py", "--out", str(tmp_path), "--tiny", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--minutes", "0"])
    gpu.main()
    assert not (tmp_path / "gpu.md").exists()
    monkeypatch.setattr("sys.argv", command)
    gpu.main()
    lines = (tmp_path / "gpu.md").read_text().splitlines()
    # A line with its ratio to itself for each published update, and one for each of ours.
    ratios = [line.split(" | ")[3] for line in lines[2:] if "published" in line.split(" | ")[1]]
    assert ratios == ["1.00 x"] * 5
    assert sum(line.startswith("| CycleGAN") for line in lines) >= 4
    assert not [line for line in lines if line.startswith("| prediction")]
    # What is measured is not measured again.
    monkeypatch.setattr(gpu, "parts_of", lambda arguments: dict.fromkeys(read_json(tmp_path / "gpu.json")))
    gpu.main()


@pytest.mark.parametrize("options", [(), ("--everywhere", "--mirrored")])
def test_a_case_is_predicted_step_by_step_with_the_passes_that_were_asked_for(repository, tmp_path, options):
    script = repository / "benchmarks" / "predict_full_size.py"
    config = repository / "configs" / "phantom.yaml"
    shape = ("--shape", "12", "72", "72", "--spacing", "2.5", "2.0", "2.0")
    command = [sys.executable, script, "--out", tmp_path, "--config", config, "--folds", "2", *shape, *options]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    steps = [line.split("|")[1].strip() for line in finished.stdout.splitlines() if line.startswith("| ")]
    assert steps[:3] == ["step", "load", "prediction"]
    assert {"read", "to the working grid", "nnU-Net's windows", "labels on the image's grid", "write"} < set(steps)
    passes = int(re.search(r"(\d+) passes", finished.stdout)[1])
    if options:
        # Each of twelve slices by two folds, in four directions.
        assert passes == 12 * 2 * 4
    else:
        # By the second fold where the first has found something.
        assert 12 < passes <= 12 * 2
