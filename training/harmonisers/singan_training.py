"""The training of a SinGAN, scale by scale: each against a critic of its own, the coarser ones frozen."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from training.config import SinGANConfig
from training.gan.checkpoint import diverged, freeze, random_state, read_state, set_random_state
from training.gan.devices import layout_for
from training.gan.logs import LossLog
from training.harmonisers.critic_gradients import set_gradients
from training.harmonisers.pyramid import resize
from training.harmonisers.singan_network import ScaleCritic, SinGAN
from training.stage_table import HARMONISER
from vestibule.checkpoints import save_state
from vestibule.errors import InputError
from vestibule.finite import require_finite
from vestibule.progress import track

SETTLING_FROM = 0.8
"""Share of a scale's iterations after which the rate falls to a tenth and the generator's batch norm stands still."""
LOSSES = ("scale", "wasserstein", "penalty", "adversarial", "reconstruction")
"""Columns of the log."""
SCALES = "scales"
"""Folder of the checkpoints of the finished scales."""


def train_scales(model: SinGAN, full: torch.Tensor, config: SinGANConfig, folder: Path, dtype: torch.dtype) -> None:
    """Train all scales, or those that an earlier try has left.

    Args:
        model: The cascade, on the device to train on.
        full: The training slice, (1, 1, Y, X) in [-1, 1].
        config: Iterations, steps, rate and weights of the losses.
        folder: For `losses.csv`, and for a checkpoint of each finished scale in `scales/`.
        dtype: In which convolutions run, float32 or bfloat16.

    Raises:
        InputError: A loss or weight is no longer finite; the checkpoints of the scales before it are kept.
    """
    checkpoints = folder / SCALES
    first = _resume(model, checkpoints)
    log = LossLog(folder, LOSSES, first * config.iterations)
    remaining = range(first, model.scales)
    for scale in track(remaining, "SinGAN", model.scales, first):
        real = resize(full, model.sizes[scale])
        train_scale(model, scale, real, config, log, dtype)
        # Of a scale that diverged after its last row of losses, too, nothing is kept.
        require_finite(model.generators[scale].state_dict(), f"{HARMONISER.name}, scale {scale}")
        _save_scale(model, scale, checkpoints)
    log.close()
    model.eval()


def train_scale(
    model: SinGAN, scale: int, real: torch.Tensor, config: SinGANConfig, log: LossLog, dtype: torch.dtype
) -> None:
    """Train G_scale against its critic, the coarser scales frozen. Shaham et al. 2019, sec. 2.2.

    Args:
        model: The cascade; the scale's noise amplitude and generator are left in it.
        scale: Which scale.
        real: The training slice at that scale, (1, 1, Y, X).
        config: Iterations, steps, rate and weights of the losses.
        log: Gets the losses ten times.
        dtype: In which convolutions run, float32 or bfloat16.
    """
    generator = model.generators[scale]
    critic = ScaleCritic(model.widths[scale], config.layers)
    place(critic, real.device, dtype)
    # Frozen, since its gradients are set by hand: the generator's losses then need none of them.
    freeze(critic, True)
    start_scale(model, scale, real, config)

    make_optimiser = partial(
        torch.optim.Adam,
        lr=config.learning_rate,
        betas=(0.5, 0.999),
        fused=True,
    )
    generator_optimiser = make_optimiser(generator.parameters())
    critic_optimiser = make_optimiser(critic.parameters())
    settling = int(SETTLING_FROM * config.iterations)
    generator_schedule = MultiStepLR(generator_optimiser, [settling], 0.1)
    critic_schedule = MultiStepLR(critic_optimiser, [settling], 0.1)

    coarser, fixed_noise = _reconstruction_input(model, scale)
    in_dtype = partial(
        torch.autocast,
        real.device.type,
        torch.bfloat16,
        enabled=dtype is torch.bfloat16,
    )
    log_every = max(1, config.iterations // 10)
    for iteration in range(1, config.iterations + 1):
        if iteration > settling:
            # From here on its batch norm does what it will do to any image: slices are injected many at a time.
            generator.eval()

        for _ in range(config.discriminator_steps):
            with torch.no_grad(), in_dtype():
                previous = _random_previous(model, scale)  # (1, 1, Y, X), as are all images here
                noise = model.noise_at(scale, previous, None)
            with in_dtype():
                fake = generator(noise, previous)
            wasserstein, penalty = set_gradients(critic.layers, real, fake.detach(), config.penalty_weight, dtype)
            critic_optimiser.step()

        # The reconstruction term ties the fixed noise to the training slice.
        for step in range(config.generator_steps):
            with in_dtype():
                # As published, the generator answers for the image that the critic saw last.
                if step > 0:
                    fake = generator(noise, previous)
                adversarial = -critic(fake).mean()
                rebuilt = generator(fixed_noise, coarser)
                difference = rebuilt - real
                reconstruction = config.reconstruction_weight * difference.square().mean()
            generator_optimiser.zero_grad()
            loss = adversarial + reconstruction
            loss.backward()
            generator_optimiser.step()

        generator_schedule.step()
        critic_schedule.step()
        if iteration % log_every == 0:
            values = {
                "scale": scale,
                "wasserstein": wasserstein.item(),
                "penalty": penalty.item(),
                "adversarial": adversarial.item(),
                "reconstruction": reconstruction.item(),
            }
            iterations_before = scale * config.iterations
            log.write(iterations_before + iteration, values)
            _require_finite(values, scale, iteration, log.folder / SCALES)

    freeze(generator, True)
    generator.eval()


def _require_finite(losses: dict[str, float], scale: int, iteration: int, checkpoints: Path) -> None:
    """Raise InputError where a loss of the scale is not finite: no later step would mend the weights."""
    for name, value in losses.items():
        if not math.isfinite(value):
            when = f"scale {scale}, iteration {iteration}"
            raise InputError(diverged(f"the loss {name!r}", HARMONISER.name, when, checkpoints))


@torch.no_grad()
def start_scale(model: SinGAN, scale: int, real: torch.Tensor, config: SinGANConfig) -> None:
    """Give a scale its first weights and its noise amplitude.

    Args:
        model: The cascade, with the coarser scales trained.
        scale: Which scale; it starts from the weights of the next coarser one where that has as many channels.
        real: The training slice at that scale, (1, 1, Y, X).
        config: How much noise, relative to what the coarser scales leave of the slice.
    """
    if scale == 0:
        model.amplitudes[0] = 1.0
        noise = torch.randn(model.fixed_noise.shape)
        model.fixed_noise.copy_(noise)
        return

    coarser = scale - 1
    if model.widths[scale] == model.widths[coarser]:
        weights = model.generators[coarser].state_dict()
        model.generators[scale].load_state_dict(weights)

    # As much noise as the coarser scales leave to be added.
    previous = resize(model.reconstruct(coarser), model.sizes[scale])
    residual = previous - real
    rmse = residual.square().mean().sqrt()
    model.amplitudes[scale] = config.noise_weight * rmse


def _random_previous(model: SinGAN, scale: int) -> torch.Tensor:
    """A random image of the coarser scales at the size of `scale`, (1, 1, Y, X); zeros for the coarsest."""
    if scale == 0:
        rows, columns = model.sizes[0]
        return torch.zeros(1, 1, rows, columns, device=model.amplitudes.device)
    sample = model.sample(1, scale - 1)
    return resize(sample, model.sizes[scale])


@torch.no_grad()
def _reconstruction_input(model: SinGAN, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The image and the noise of which the scale is to give the training slice back, both (1, 1, Y, X)."""
    if scale == 0:
        previous = torch.zeros_like(model.fixed_noise)
        noise = model.fixed_noise * model.amplitudes[0]
        return previous, noise
    coarser = model.reconstruct(scale - 1)
    previous = resize(coarser, model.sizes[scale])
    return previous, torch.zeros_like(previous)


def _save_scale(model: SinGAN, scale: int, folder: Path) -> None:
    """Write what the training goes on from: the cascade so far and the state of the random generators."""
    weights = model.state_dict()
    content = {"model": weights, **random_state()}
    save_state(content, folder / f"{scale:02d}.pt")


def _resume(model: SinGAN, folder: Path) -> int:
    """Load what the last finished scale left; returns the number of finished scales.

    Raises InputError where the file is broken.
    """
    saved = sorted(folder.glob("[0-9]*.pt"))
    if not saved:
        return 0
    content = read_state(saved[-1], "to go on from the scale before it")
    model.load_state_dict(content["model"])
    set_random_state(content)
    # Each file holds the scales before it, too, so that an earlier one may be missing.
    finished = int(saved[-1].stem) + 1
    for generator in model.generators[:finished]:
        freeze(generator, True)
        generator.eval()
    return finished


def place(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move `network` to `device`, its weights in the layout in which convolutions in `dtype` are fast."""
    layout = layout_for(dtype)
    network.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch's own annotations lack it
