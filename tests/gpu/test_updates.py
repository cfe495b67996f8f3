"""The updates of the GAN stages on a device: the losses of the CPU, every precision, and no waiting for the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import interpolate

from training.gan.devices import convolution_type, has_bfloat16
from training.gan.distributed import launch_fabric
from training.gan.loop import AdversarialModel
from training.harmonisers.singan_network import SinGAN
from training.harmonisers.singan_training import place, train_scales
from training.stages.cyclegan import CycleGAN
from training.stages.pix2pix import Pix2Pix

STEPS = 4
FIRST_STEP = 1e-4
"""Relative difference in float32 of a loss before any update: sums are taken in another order."""
LATER_STEPS = 1e-2
"""After some updates: Adam's first steps have the size of the learning rate whatever the gradient, so that rounding in
a gradient near 0 moves a weight by a whole step."""
BFLOAT16 = 0.1
"""In bfloat16, which has 8 bits of mantissa."""
MODELS = ("cyclegan", "cyclegan with a head", "pix2pix")

Build = Callable[[str, str], AdversarialModel]


@pytest.fixture(params=MODELS)
def build(request, cyclegan, pix2pix) -> Build:
    """Makes a model on a device in a precision, with the same weights each time."""

    def made(device: str, precision: str) -> AdversarialModel:
        torch.manual_seed(0)
        fabric = launch_fabric(device, precision)
        if request.param == "pix2pix":
            return Pix2Pix(pix2pix, fabric)
        if request.param == "cyclegan":
            return CycleGAN(cyclegan, fabric)
        return CycleGAN(replace(cyclegan, segmentation_weight=1.0), fabric, (1, 2))

    return made


def images(seed: int, size: int = 32) -> torch.Tensor:
    """Two smooth slices (2, 1, Y, X) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 1, 4, 4, generator=generator)
    return interpolate(coarse, size=size, mode="bicubic").clamp(-1, 1)


def losses_of(model: AdversarialModel, steps: int = STEPS) -> list[dict[str, float]]:
    """The losses of the first steps, each on other images."""
    device = model.fabric.device
    found = []
    for number in range(steps):
        batch = batch_for(model, number, device)
        losses = model.step(*batch)
        found.append({name: float(loss) for name, loss in losses.items()})
    return found


def batch_for(model: AdversarialModel, number: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """What `model.step` takes: images on the device, and random choices where it has pools."""
    first = images(2 * number).to(device)
    second = images(2 * number + 1).to(device)
    if isinstance(model, Pix2Pix):
        return first, second, second > 0
    choices = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(number))
    if model.head is None:
        return first, second, choices
    labels = (first > 0).long()
    return first, second, choices, labels


def test_first_losses_are_those_of_the_cpu(build, device):
    expected = losses_of(build("cpu", "32-true"))
    found = losses_of(build(device.type, "32-true"))
    assert found[0] == pytest.approx(expected[0], rel=FIRST_STEP)
    for own, theirs in zip(found, expected, strict=True):
        assert own == pytest.approx(theirs, rel=LATER_STEPS, abs=1e-4)


def test_bfloat16_stays_near_float32(build, device):
    if not has_bfloat16(device):
        pytest.skip(f"{device} has no instructions for bfloat16")
    exact = losses_of(build(device.type, "32-true"))
    rounded = losses_of(build(device.type, "bf16-mixed"))
    for own, theirs in zip(rounded, exact, strict=True):
        assert own == pytest.approx(theirs, rel=BFLOAT16, abs=0.02)


@pytest.mark.gpu
def test_float16_trains_where_a_gpu_has_no_bfloat16(build, gpu):
    exact = losses_of(build("cuda", "32-true"))
    # With the scaler of gradients that float16 needs.
    rounded = losses_of(build("cuda", "16-mixed"))
    for own, theirs in zip(rounded, exact, strict=True):
        assert own == pytest.approx(theirs, rel=BFLOAT16, abs=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_never_waits_for_the_gpu(build, gpu, precision):
    if precision == "bf16-mixed" and not has_bfloat16(gpu):
        pytest.skip(f"{gpu} has no instructions for bfloat16")
    model = build("cuda", precision)
    # The first steps fill the pools, choose algorithms and allocate.
    losses_of(model, 3)
    batches = [batch_for(model, number, gpu) for number in range(3)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        # That waiting would be seen.
        with pytest.raises(RuntimeError):
            batches[0][0].sum().item()
        steps = [model.step(*batch) for batch in batches]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(bool(loss.isfinite()) for losses in steps for loss in losses.values())


def test_singan_learns_its_slice(singan, device, tmp_path):
    torch.manual_seed(0)
    dtype = convolution_type("auto", device)
    model = SinGAN([(16, 16), (24, 24)], [singan.width] * 2, singan.layers)
    place(model, device, dtype)
    full = images(0, size=24)[:1].to(device)
    train_scales(model, full, singan, tmp_path, dtype)
    with torch.no_grad():
        rebuilt = model.reconstruct(1).float()
    spread = (full - full.mean()).square().mean()
    # Better than a grey image.
    assert float((rebuilt - full).square().mean()) < float(spread)
