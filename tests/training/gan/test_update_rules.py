"""Losses and updates of the GAN stages against formulas written out a second time, and networks on one sample."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import interpolate

from training.gan.devices import make_fabric
from training.gan.logs import LossLog
from training.harmonisers.pyramid import resize
from training.harmonisers.singan_network import SinGAN
from training.harmonisers.singan_training import LOSSES, start_scale, train_scale
from training.stages.cyclegan import CycleGAN
from training.stages.pix2pix import Pix2Pix
from vestibule.networks import GeneratorConfig, build_generator


def smooth(count, seed=0, size=32):
    generator = torch.Generator().manual_seed(seed)
    return interpolate(torch.randn(count, 1, 4, 4, generator=generator), size=size, mode="bicubic").clamp(-1, 1)


def test_discriminators_of_the_cyclegan_tell_real_from_what_the_pool_shows(config):
    torch.manual_seed(0)
    model = CycleGAN(replace(config.cyclegan, learning_rate=0.0, pool_size=0), make_fabric("32-true"))
    source, target = smooth(2), smooth(2, seed=1)
    with torch.no_grad():
        real, fake = model.discriminator_source(source), model.discriminator_source(model.target_to_source(target))
    losses = model.step(source, target, torch.zeros(2, 2, 2))
    by_hand = 0.5 * ((real - 1).pow(2).mean() + fake.pow(2).mean())
    assert float(losses["discriminator_a"]) == pytest.approx(float(by_hand), rel=1e-4)


def test_first_step_of_adam_moves_every_generator_weight_by_the_rate_against_its_gradient(config):
    torch.manual_seed(0)
    model = CycleGAN(replace(config.cyclegan, learning_rate=1e-3), make_fabric("32-true"))
    before = [parameter.detach().clone() for parameter in model.source_to_target.parameters()]
    model.step(smooth(2), smooth(2, seed=1), torch.zeros(2, 2, 2))
    for old, parameter in zip(before, model.source_to_target.parameters(), strict=True):
        # Adam's bias-corrected first step is rate * g / (|g| + 1e-8).
        expected = old - 1e-3 * parameter.grad / (parameter.grad.abs() + 1e-8)
        assert torch.allclose(parameter, expected, atol=1e-6)


def test_pix2pix_generator_is_judged_with_its_condition(config):
    torch.manual_seed(0)
    model = Pix2Pix(replace(config.pix2pix, learning_rate=0.0), make_fabric("32-true"))
    condition, real = smooth(2), smooth(2, seed=1)
    with torch.no_grad():
        judged = model.discriminator(torch.cat([condition, model.generator(condition)], dim=1))
    losses = model.step(condition, real)
    assert float(losses["adversarial"]) == pytest.approx(float((judged - 1).pow(2).mean()), rel=1e-4)


@pytest.mark.parametrize("architecture", ["resnet", "unet"])
def test_generator_overfits_one_pair_of_slices(architecture):
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(architecture, width=8, blocks=2))
    optimiser = torch.optim.Adam(generator.parameters(), 5e-3)
    image, wanted = smooth(1), smooth(1, seed=1)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (generator(image) - wanted).abs().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05


@pytest.fixture
def two_scales(config, tmp_path):
    """Scale 0 trained for a few steps, scale 1 untouched; the real images of both."""
    torch.manual_seed(0)
    settings = replace(config.harmoniser, iterations=5)
    model = SinGAN([(16, 16), (24, 24)], [settings.width] * 2, settings.layers)
    full = smooth(1, size=24)
    log = LossLog(tmp_path, LOSSES)
    train_scale(model, 0, resize(full, (16, 16)), settings, log, torch.float32)
    return model, full, settings, log


def test_noise_of_a_scale_is_the_residual_that_the_coarser_ones_leave(two_scales):
    model, full, settings, _ = two_scales
    residual = resize(model.reconstruct(0), (24, 24)) - full
    start_scale(model, 1, full, settings)
    assert float(model.amplitudes[1]) == pytest.approx(0.1 * float(residual.pow(2).mean().sqrt()), rel=1e-5)
    assert float(model.amplitudes[0]) == 1.0


def test_scale_starts_from_the_weights_of_the_coarser_one(two_scales):
    model, full, settings, _ = two_scales
    start_scale(model, 1, full, settings)
    coarse, fine = (generator.state_dict() for generator in model.generators)
    assert all(torch.equal(coarse[name], fine[name]) for name in coarse)


def test_coarser_scales_stay_as_they_were_when_a_finer_one_is_trained(two_scales):
    model, full, settings, log = two_scales
    before = {name: value.clone() for name, value in model.generators[0].state_dict().items()}
    train_scale(model, 1, full, settings, log, torch.float32)
    after = model.generators[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
