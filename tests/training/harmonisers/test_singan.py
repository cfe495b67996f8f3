from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from training.data.reference_slice import choose_references
from training.harmonisers import singan_training
from training.harmonisers.pyramid import resize
from training.harmonisers.singan import SinGANHarmoniser
from training.harmonisers.singan_network import SinGAN, channels, pyramid_sizes
from vestibule.errors import InputError


def fit(config, run_dir, **changes):
    """A SinGAN of the run's reference slice, saved in the stage's folder."""
    (reference,) = choose_references(config, run_dir)
    settings = replace(config.harmoniser, **changes)
    harmoniser = SinGANHarmoniser.fit(reference, settings, run_dir / "harmoniser", config.seed, config.precision)
    harmoniser.save(run_dir / "harmoniser")
    return harmoniser, reference


def test_pyramid_grows_in_whole_steps_from_the_coarsest_to_the_full_size(config):
    settings = replace(config.harmoniser, coarsest_px=25, scale_factor=0.75)
    sizes = pyramid_sizes((250, 250), settings)
    assert sizes[0] == (25, 25)
    assert sizes[-1] == (250, 250)
    # ln(25/250) / ln(0.75) = 8.004: nine steps
    assert len(sizes) == 10
    ratios = [b[0] / a[0] for a, b in pairwise(sizes)]
    assert max(ratios) - min(ratios) < 0.06


def test_pyramid_keeps_the_aspect(config):
    sizes = pyramid_sizes((40, 80), replace(config.harmoniser, coarsest_px=20))
    assert all(abs(2 * y - x) <= 1 for y, x in sizes)


def test_channels_double_every_four_scales_up_to_the_most(config):
    settings = replace(config.harmoniser, width=32, max_width=128)
    assert channels(11, settings) == [32] * 4 + [64] * 4 + [128] * 3
    assert channels(5, replace(settings, max_width=None)) == [32] * 5


def test_scales_of_other_widths_are_trained_kept_and_loaded(config, run_dir):
    fit(config, run_dir, width=4, max_width=8, scale_factor=0.85)
    loaded = SinGANHarmoniser.load(run_dir / "harmoniser")
    assert loaded.model.widths == [4, 4, 4, 4, 8, 8]
    assert loaded.apply(np.zeros((1, 24, 24), dtype=np.float32), 5).shape == (1, 24, 24)


def test_image_smaller_than_what_the_coarsest_scale_sees_is_refused(config):
    with pytest.raises(InputError, match="at least 7 px"):
        pyramid_sizes((6, 100), config.harmoniser)


def test_untrained_scale_adds_its_correction_to_the_coarser_image():
    model = SinGAN([(12, 12)], [4], 3)
    for parameter in model.generators[0].layers[-1].parameters():
        nn.init.zeros_(parameter)
    image = torch.randn(2, 1, 12, 12).clamp(-1, 1)
    assert torch.equal(model.generators[0](torch.zeros_like(image), image), image)


@pytest.mark.parametrize("size", [(16, 16), (30, 21), (9, 40)])
def test_images_of_any_size_are_injected_at_any_scale_but_that_of_noise(size):
    model = SinGAN([(12, 12), (14, 14), (16, 16)], [4, 4, 4], 3).eval()
    for scale in (1, 2):
        result = model.inject(torch.zeros(2, 1, *size), scale)
        assert result.shape == (2, 1, *size)
        assert torch.isfinite(result).all()


@pytest.mark.parametrize("scale", [-1, 0, 3])
def test_scale_out_of_range_is_refused(scale):
    model = SinGAN([(12, 12), (14, 14), (16, 16)], [4, 4, 4], 3)
    with pytest.raises(ValueError, match="from 1 to 2"):
        model.inject(torch.zeros(1, 1, 16, 16), scale)


def test_resize_of_a_constant_is_constant():
    assert torch.allclose(resize(torch.full((1, 1, 30, 20), 0.3), (13, 9)), torch.tensor(0.3))


@torch.no_grad()
def test_samples_share_what_scales_before_their_start_give_back():
    torch.manual_seed(0)
    model = SinGAN([(12, 12), (16, 16), (24, 24)], [4, 4, 4], 2).eval()
    model.fixed_noise.normal_()
    model.amplitudes.copy_(torch.tensor([1.0, 1.0, 0.0]))
    assert not torch.equal(*model.sample(2, 2, start=0))
    assert not torch.equal(*model.sample(2, 2, start=1))
    for image in model.sample(2, 2, start=2):
        torch.testing.assert_close(image, model.reconstruct(2)[0])


def test_training_reconstructs_better_than_the_coarsest_scale_alone(config, run_dir):
    harmoniser, reference = fit(config, run_dir, iterations=60)
    model = harmoniser.model
    full = torch.from_numpy(reference.image)[None, None]
    blurred = resize(resize(full, model.sizes[0]), model.sizes[-1])
    coarse_error = float((blurred - full).square().mean().sqrt()) / 2
    assert harmoniser.reconstruction_rmse < coarse_error


def test_killed_between_scales_gives_the_weights_of_an_uninterrupted_run(config, run_dir, monkeypatch):
    weights = run_dir / "harmoniser" / "cascade.safetensors"
    fit(config, run_dir)
    whole = load_file(weights)
    for path in (run_dir / "harmoniser" / "scales").glob("*.pt"):
        path.unlink()
    original = singan_training.train_scale

    def die_at_the_second(model, scale, *rest):
        if scale == 1:
            raise KeyboardInterrupt
        original(model, scale, *rest)

    monkeypatch.setattr(singan_training, "train_scale", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit(config, run_dir)
    monkeypatch.setattr(singan_training, "train_scale", original)
    fit(config, run_dir)
    resumed = load_file(weights)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_scale_whose_checkpoint_is_missing_before_the_last_one_is_not_missed(config, run_dir, monkeypatch):
    fit(config, run_dir)
    (run_dir / "harmoniser" / "scales" / "00.pt").unlink()
    weights = run_dir / "harmoniser" / "cascade.safetensors"
    whole = load_file(weights)
    weights.unlink()
    monkeypatch.setattr(singan_training, "train_scale", pytest.fail)
    fit(config, run_dir)
    resumed = load_file(weights)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_that_diverges_stops_with_the_scales_before_it(config, run_dir, monkeypatch):
    original = singan_training.start_scale

    def break_the_second(model, scale, *rest):
        original(model, scale, *rest)
        if scale == 1:
            model.amplitudes[1] = float("nan")

    monkeypatch.setattr(singan_training, "start_scale", break_the_second)
    with pytest.raises(
        InputError,
        match=r"harmoniser: the loss .* is not finite, or absurdly large, at scale 1, iteration 1: .*diverged",
    ):
        fit(config, run_dir)
    assert [path.name for path in (run_dir / "harmoniser/scales").iterdir()] == ["00.pt"]
    assert not (run_dir / "harmoniser/cascade.safetensors").exists()


def test_checkpoint_of_a_scale_that_was_cut_short_is_named_with_what_to_do(config, run_dir):
    weights = run_dir / "harmoniser" / "cascade.safetensors"
    fit(config, run_dir)
    whole = load_file(weights)
    last = sorted((run_dir / "harmoniser" / "scales").iterdir())[-1]
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{last.name}: is cut short .*; delete it to go on from the scale before it"):
        fit(config, run_dir)
    last.unlink()
    fit(config, run_dir)
    resumed = load_file(weights)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
