"""pix2pix: phi_B'A, from T2 with reinforced tumours to T1, on the pairs (J~, I). Isola et al. 2017."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file

from training.config import Pix2PixConfig, RunConfig
from training.data.sheets import save_sheet
from training.data.slices import SliceSampler, load_labels, load_slices, read_cases
from training.gan.checkpoint import TrainingState, freeze
from training.gan.devices import make_fabric, subnormals_as_zero
from training.gan.discriminators import PatchGAN, initialise, least_squares, linear_decay
from training.gan.distributed import average_gradients, leads, own_share
from training.gan.ema import WeightAverage
from training.gan.logs import LossLog
from training.runner import stage_dir
from vestibule.editions import get_edition
from vestibule.networks import build_generator
from vestibule.progress import track

LOSSES = ("adversarial", "pixel", "discriminator")


class Pix2Pix:
    """Generator and conditional discriminator with their optimisers, and the two update rules."""

    def __init__(self, config: Pix2PixConfig, fabric: Fabric) -> None:
        self.config = config
        self.fabric = fabric
        generator = initialise(build_generator(config.generator))
        self.average = WeightAverage({"generator": generator}, config.average)
        critic = initialise(PatchGAN(2, config.discriminator_width, config.discriminator_layers))
        self.generator, self.critic = fabric.setup_module(generator), fabric.setup_module(critic)
        self.generator_optimiser, self.critic_optimiser = (
            fabric.setup_optimizers(
                torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999), fused=True)
            )
            for network in (generator, critic)
        )
        factor = linear_decay(config.iterations, config.decay_from)
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
            for optimiser in (self.generator_optimiser, self.critic_optimiser)
        ]

    def step(
        self, condition: torch.Tensor, real: torch.Tensor, tumour: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """One update of each network on pairs (T2, T1) of (B, 1, Y, X). Returns the losses, detached.

        `tumour` (B, 1, Y, X) bool: pixels that count by `tumour_weight` in the pixel loss.
        """
        fake = self.generator(condition)
        freeze(self.critic, False)
        self.critic_optimiser.zero_grad()
        pairs = [torch.cat([condition, image], dim=1) for image in (real, fake.detach())]
        seen_real, seen_fake = self.critic(torch.cat(pairs)).chunk(2)
        critic_loss = 0.5 * (least_squares(seen_real, real=True) + least_squares(seen_fake, real=False))
        self.fabric.backward(critic_loss)
        average_gradients(self.critic_optimiser)
        self.critic_optimiser.step()

        freeze(self.critic, True)
        adversarial = least_squares(self.critic(torch.cat([condition, fake], dim=1)), real=True)
        pixel = self.config.pixel_weight * weighted_l1(fake, real, tumour, self.config.tumour_weight)
        self.generator_optimiser.zero_grad()
        self.fabric.backward(adversarial + pixel)
        average_gradients(self.generator_optimiser)
        self.generator_optimiser.step()
        self.average.update()
        for scheduler in self.schedulers:
            scheduler.step()
        losses = {"adversarial": adversarial, "pixel": pixel, "discriminator": critic_loss}
        return {name: loss.detach() for name, loss in losses.items()}

    def parts(self) -> dict[str, object]:
        """All that a resumable state must hold."""
        return {
            "generator": self.generator,
            "critic": self.critic,
            "average": self.average,
            "generator_optimiser": self.generator_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "generator_scheduler": self.schedulers[0],
            "critic_scheduler": self.schedulers[1],
        }


def weighted_l1(
    fake: torch.Tensor, real: torch.Tensor, tumour: torch.Tensor | None, tumour_weight: float
) -> torch.Tensor:
    """Mean absolute difference, in which the pixels of `tumour` count `tumour_weight` times."""
    difference = (fake - real).abs()
    if tumour is None or tumour_weight == 1:
        return difference.mean()
    return (difference * torch.where(tumour, tumour_weight, 1.0)).mean()


@subnormals_as_zero()
def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train on (B', A); leaves the generator as safetensors, curves and sample sheets in `pix2pix/`."""
    folder, settings = stage_dir(run_dir, "pix2pix"), config.pix2pix
    torch.manual_seed(config.seed)
    fabric = make_fabric(config.precision)
    model = Pix2Pix(settings, fabric)
    if settings.warm_start:
        model.generator.load_state_dict(load_file(stage_dir(run_dir, "cyclegan") / "target_to_source.safetensors"))
    state = TrainingState(folder / "state.pt", model.parts(), np.random.default_rng([config.seed, 3]))
    state.resume()
    sources = {case.name: case for case in read_cases(run_dir, "source")}
    sampler = SliceSampler(read_cases(run_dir, "source", "transfer"), settings.sampling, settings.tumour_share)
    log = LossLog(folder, LOSSES, state.iteration)
    values = torch.tensor(get_edition(config.edition).structures["vs"], dtype=torch.float32)
    sums: dict[str, torch.Tensor] = {}
    interval = max(1, min(50, settings.iterations // 20))
    remaining = range(state.iteration + 1, settings.iterations + 1)
    for iteration in track(remaining, "pix2pix", settings.iterations, state.iteration):
        picks = own_share(partial(sampler.draw, state.generator))
        condition = load_slices(picks).to(fabric.device)
        real = load_slices([replace(pick, case=sources[pick.case.name]) for pick in picks]).to(fabric.device)
        tumour = torch.isin(load_labels(picks), values).to(fabric.device)
        losses = model.step(condition, real, tumour)
        sums = {name: sums.get(name, 0) + loss for name, loss in losses.items()}
        state.iteration = iteration
        if iteration % interval == 0:
            log.write(iteration, {name: float(value) / interval for name, value in sums.items()})
            sums = {}
        if leads() and (iteration % settings.sample_every == 0 or iteration == settings.iterations):
            save_samples(model, condition, real, folder / "samples" / f"{iteration:07d}.png")
        if iteration % settings.checkpoint_every == 0 or iteration == settings.iterations:
            state.save()
    log.close()
    path = folder / "generator.safetensors"
    state_dict = model.average.network("generator").state_dict()
    if leads():
        save_file({key: value.contiguous().cpu() for key, value in state_dict.items()}, path)
    return [path]


@torch.no_grad()
def save_samples(model: Pix2Pix, condition: torch.Tensor, real: torch.Tensor, path: Path) -> None:
    """A sheet of the first pairs: T2 with reinforced tumour, its translation, and the true T1."""
    columns = {"T2 (B')": condition, "-> T1": model.average.network("generator")(condition), "T1": real}
    save_sheet(path, {title: images[:4, 0].float().cpu().numpy() for title, images in columns.items()})
