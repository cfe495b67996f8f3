import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.gan.checkpoint import TrainingState
from training.gan.devices import make_fabric
from training.stages.cyclegan import CycleGAN, train
from vestibule.errors import InputError


@pytest.fixture
def model(config):
    torch.manual_seed(0)
    return CycleGAN(replace(config.cyclegan, learning_rate=2e-3, iterations=1000), make_fabric("32-true"))


def test_losses_are_those_of_the_paper(model):
    source, target = torch.randn(2, 2, 1, 32, 32).clamp(-1, 1)
    with torch.no_grad():
        fake_target = model.source_to_target(source)
        cycle = 10 * (model.target_to_source(fake_target) - source).abs().mean()
        kept = (model.target_to_source(source) - source).abs().mean() + (
            model.source_to_target(target) - target
        ).abs().mean()
        adversarial = (model.discriminator_target(fake_target) - 1).square().mean()
    losses = model.step(source, target, torch.zeros(2, 2, 2))
    assert float(losses["cycle_a"]) == pytest.approx(float(cycle), rel=1e-5)
    assert float(losses["identity"]) == pytest.approx(float(5 * kept), rel=1e-5)
    assert float(losses["adversarial_ab"]) == pytest.approx(float(adversarial), rel=1e-5)


def test_generators_are_not_moved_by_the_discriminators_update(model):
    source, target = torch.randn(2, 2, 1, 32, 32).clamp(-1, 1)
    before = [p.detach().clone() for p in model.source_to_target.parameters()]
    model._update_discriminators((source, source), (target, target))
    assert all(torch.equal(a, b) for a, b in zip(before, model.source_to_target.parameters(), strict=True))


def test_cycle_loss_falls_on_a_single_pair(model):
    torch.manual_seed(1)
    source, target = torch.nn.functional.interpolate(torch.randn(2, 1, 4, 4), scale_factor=8.0).clamp(-1, 1)[:, None]
    choices = torch.zeros(2, 1, 2)
    first = model.step(source, target, choices)
    for _ in range(60):
        last = model.step(source, target, choices)
    assert float(last["cycle_a"]) < 0.5 * float(first["cycle_a"])


def test_training_leaves_weights_curves_and_pictures(config, run_dir):
    paths = train(config, run_dir)
    assert [path.name for path in paths] == ["source_to_target.safetensors", "target_to_source.safetensors"]
    rows = (run_dir / "cyclegan" / "losses.csv").read_text().splitlines()
    assert rows[0].split(",")[:2] == ["iteration", "seconds"]
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert (run_dir / "cyclegan" / "samples" / "0000004.png").stat().st_size > 1000


def test_targets_are_drawn_lower_where_translations_lie_lower(config, run_dir):
    model = CycleGAN(aligned(config).cyclegan, make_fabric("32-true"))
    model.source_to_target, model.target_to_source = (partial(torch.roll, shifts=way, dims=-2) for way in (1, -1))
    source, target = torch.nn.functional.interpolate(torch.randn(2, 2, 8, 8), scale_factor=4.0)[:, :, None]
    model.measure(1, source, target)
    assert model.alignment.shift > 0.5
    assert model.alignment.rows > 0


@pytest.mark.parametrize("align", [False, True])
def test_curves_tell_the_shift_whether_or_not_it_is_corrected(config, run_dir, align):
    train(aligned(config) if align else config, run_dir)
    rows = [row.split(",") for row in (run_dir / "cyclegan" / "losses.csv").read_text().splitlines()]
    assert rows[0][-2:] == ["shift_rows", "apart_rows"]
    assert any(float(row[-2]) for row in rows[1:])
    assert any(float(row[-1]) for row in rows[1:]) == align


def aligned(config):
    """`config` with parts of slices, drawn apart by what the generators shift."""
    sampling = replace(config.cyclegan.sampling, crop_yx=(24, 32))
    return replace(config, cyclegan=replace(config.cyclegan, align=True, sampling=sampling))


@pytest.mark.parametrize(("average", "segmentation_weight"), [(0.0, 0.0), (0.9, 0.0), (0.0, 1.0)])
def test_killed_and_resumed_gives_the_weights_of_an_uninterrupted_run(
    config, run_dir, monkeypatch, average, segmentation_weight
):
    settings = replace(config.cyclegan, average=average, segmentation_weight=segmentation_weight)
    config = aligned(replace(config, cyclegan=settings))
    whole = [load_file(path) for path in train(config, run_dir)]
    (run_dir / "cyclegan" / "state.pt").unlink()
    original = TrainingState.save

    def save_and_die(self):
        original(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(config, run_dir)
    monkeypatch.setattr(TrainingState, "save", original)
    resumed = [load_file(path) for path in train(config, run_dir)]
    for before, after in zip(whole, resumed, strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_random_state_survives_a_checkpoint(tmp_path):
    generator = np.random.default_rng(3)
    state = TrainingState(tmp_path / "state.pt", {}, generator)
    generator.random(5)
    state.save()
    expected = generator.random(4)
    fresh = TrainingState(tmp_path / "state.pt", {}, np.random.default_rng(99))
    assert fresh.resume()
    np.testing.assert_array_equal(fresh.generator.random(4), expected)


def with_head(config, weight=1.0):
    """`config` with a segmentation head beside the CycleGAN."""
    return replace(config, cyclegan=replace(config.cyclegan, segmentation_weight=weight))


def test_the_head_leaves_the_first_weights_of_the_other_networks_as_they_are(config):
    networks = []
    for settings in (config.cyclegan, with_head(config).cyclegan):
        torch.manual_seed(0)
        networks.append(CycleGAN(settings, make_fabric("32-true"), [1, 2]))
    plain, headed = networks
    pairs = zip(plain.discriminator_target.parameters(), headed.discriminator_target.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_an_erased_tumour_costs_the_generator_something(config):
    torch.manual_seed(0)
    settings = replace(with_head(config, 2.0).cyclegan, learning_rate=0.0)
    model = CycleGAN(settings, make_fabric("32-true"), [1])
    source, target = torch.rand(2, 1, 1, 32, 32) * 2 - 1
    labels = torch.zeros(1, 1, 32, 32)
    labels[..., 10:20, 10:20] = 1
    model.step(source, target, torch.zeros(2, 1, 2), labels)
    found = model._plain_head.network.final_conv.weight.grad
    assert found.abs().sum() > 0
    moved = next(model.source_to_target.parameters()).grad.clone()

    torch.manual_seed(0)
    without = CycleGAN(replace(config.cyclegan, learning_rate=0.0), make_fabric("32-true"))
    without.step(source, target, torch.zeros(2, 1, 2))
    assert not torch.allclose(moved, next(without.source_to_target.parameters()).grad)


def test_training_with_a_head_logs_its_loss_and_shows_what_it_finds(config, run_dir):
    train(with_head(config), run_dir)
    header = (run_dir / "cyclegan" / "losses.csv").read_text().splitlines()[0]
    assert "segmentation" in header.split(",")
    model = CycleGAN(with_head(config).cyclegan, make_fabric("32-true"), [1, 2])
    with torch.no_grad():
        columns = model.sheet(*torch.rand(2, 1, 1, 32, 32))
    assert set(columns["found in synthetic T2"].unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_a_source_case_without_a_label_is_named_where_a_head_needs_it(config, run_dir):
    index = run_dir / "prepare" / "index.json"
    content = json.loads(index.read_text())
    source = next(entry for entry in content["cases"] if entry["domain"] == "source")
    source["label"] = None
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"{source['case']}: has no label, which cyclegan.segmentation_weight needs"):
        train(with_head(config), run_dir)
