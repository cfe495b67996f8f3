from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from training.data.slices import SliceSampler, load_slices, read_cases
from training.gan.checkpoint import TrainingState
from training.gan.devices import make_fabric
from training.stage_table import TRANSFER
from training.stages.pix2pix import Pix2Pix, train, weighted_l1
from vestibule.files import read_json, write_json
from vestibule.networks import build_generator


@pytest.fixture
def paired(run_dir):
    """Let B' be the source images with their sign turned, in the same places."""
    index = read_json(run_dir / "prepare" / "index.json")
    entries = [entry for entry in index["cases"] if entry["domain"] == "source"]
    (run_dir / "transfer" / "source").mkdir()
    for entry in entries:
        np.save(run_dir / "transfer" / entry["image"], -np.load(run_dir / "prepare" / entry["image"]))
    labelled = [{**entry, "label": f"../prepare/{entry['label']}"} for entry in entries]
    write_json(run_dir / "transfer" / "index.json", {"cases": labelled})
    return run_dir


def test_losses_are_those_of_the_paper(config):
    torch.manual_seed(0)
    model = Pix2Pix(config.pix2pix, make_fabric("32-true"))
    condition, real = torch.randn(2, 2, 1, 32, 32).clamp(-1, 1)
    with torch.no_grad():
        fake = model.generator(condition)
        pixel = 100 * (fake - real).abs().mean()
        seen = (model.discriminator(torch.cat([condition, p], 1)) for p in (real, fake))
        told_apart = 0.5 * ((next(seen) - 1).square().mean() + next(seen).square().mean())
    losses = model.step(condition, real)
    assert float(losses["pixel"]) == pytest.approx(float(pixel), rel=1e-5)
    assert float(losses["discriminator"]) == pytest.approx(float(told_apart), rel=1e-4)


def test_pairs_are_the_same_place_of_the_same_case(config, paired):
    sources = {case.name: case for case in read_cases(paired, "source")}
    sampler = SliceSampler(read_cases(paired, "source", TRANSFER), replace(config.pix2pix.sampling, crop_yx=(16, 16)))
    picks = sampler.sample(np.random.default_rng(0))
    condition = load_slices(picks)
    real = load_slices([replace(pick, case=sources[pick.case.name]) for pick in picks])
    assert torch.equal(condition, -real)


def test_tumour_pixels_count_by_their_weight():
    fake, real = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0.5], [0.5, 0.0]]]])
    tumour = torch.tensor([[[[True, False], [False, False]]]])
    assert float(weighted_l1(fake, real, tumour, 1.0)) == pytest.approx(2 / 4)
    assert float(weighted_l1(fake, real, tumour, 5.0)) == pytest.approx((5 * 1 + 0.5 + 0.5) / 4)
    assert float(weighted_l1(fake, real, None, 5.0)) == pytest.approx(2 / 4)


def test_warm_start_begins_with_the_cyclegans_generator(config, paired):
    torch.manual_seed(3)
    generator = build_generator(config.cyclegan.generator)
    save_file(generator.state_dict(), paired / "cyclegan" / "target_to_source.safetensors")
    still = replace(config.pix2pix, warm_start=True, learning_rate=0.0)
    (path,) = train(replace(config, pix2pix=still), paired)
    trained = load_file(path)
    assert all(torch.equal(trained[name], value) for name, value in generator.state_dict().items())


def test_warm_start_of_another_generator_is_refused(config):
    other = replace(config.pix2pix, warm_start=True, generator=replace(config.pix2pix.generator, width=8))
    with pytest.raises(ValueError, match="the two differ"):
        replace(config, pix2pix=other)


def test_generator_overfits_one_pair(config):
    torch.manual_seed(0)
    model = Pix2Pix(replace(config.pix2pix, learning_rate=5e-3, iterations=1000), make_fabric("32-true"))
    condition = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4), scale_factor=8.0).clamp(-1, 1)
    first = model.step(condition, -condition)
    for _ in range(80):
        last = model.step(condition, -condition)
    assert float(last["pixel"]) < 0.25 * float(first["pixel"])


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_killed_and_resumed_gives_the_weights_of_an_uninterrupted_run(config, paired, monkeypatch, average):
    config = replace(config, pix2pix=replace(config.pix2pix, average=average))
    (path,) = train(config, paired)
    whole = load_file(path)
    (paired / "pix2pix" / "state.pt").unlink()
    original = TrainingState.save

    def save_and_die(self):
        original(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(config, paired)
    monkeypatch.setattr(TrainingState, "save", original)
    resumed = load_file(train(config, paired)[0])
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
