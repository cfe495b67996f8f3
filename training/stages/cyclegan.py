"""CycleGAN: the approximate mappings phi0_AB (T1 -> T2) and phi0_BA (T2 -> T1), unpaired. Zhu et al. 2017.

It is right outside the tumour and erases the tumour in part; its T2 -> T1 half is the baseline arm.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch.nn.functional import l1_loss

from training.config import CycleGANConfig, RunConfig
from training.data.sheets import save_sheet
from training.data.slices import SliceSampler, load_slices, read_cases
from training.gan.alignment import Alignment
from training.gan.checkpoint import TrainingState, freeze
from training.gan.devices import make_fabric, subnormals_as_zero
from training.gan.discriminators import PatchGAN, ReplayPool, initialise, least_squares, linear_decay
from training.gan.distributed import average_gradients, leads, own_share, together, world_size
from training.gan.ema import WeightAverage
from training.gan.logs import LossLog
from training.runner import stage_dir
from vestibule.networks import build_generator
from vestibule.progress import track

LOSSES = ("adversarial_ab", "adversarial_ba", "cycle_a", "cycle_b", "identity", "discriminator_a", "discriminator_b")


class CycleGAN:
    """Both generators and both discriminators with their optimisers, and the two update rules."""

    def __init__(self, config: CycleGANConfig, fabric: Fabric) -> None:
        self.config = config
        generators = [initialise(build_generator(config.generator)) for _ in range(2)]
        critics = [initialise(PatchGAN(1, config.discriminator_width, config.discriminator_layers)) for _ in range(2)]
        self.fabric = fabric
        self.source_to_target, self.target_to_source = (fabric.setup_module(network) for network in generators)
        self.critic_source, self.critic_target = (fabric.setup_module(network) for network in critics)
        self.averages = WeightAverage(
            dict(zip(("source_to_target", "target_to_source"), generators, strict=True)), config.average
        )
        rate = config.learning_rate
        self.generator_optimiser = fabric.setup_optimizers(
            torch.optim.Adam(
                [p for network in generators for p in network.parameters()], rate, betas=(0.5, 0.999), fused=True
            )
        )
        self.critic_optimiser = fabric.setup_optimizers(
            torch.optim.Adam(
                [p for network in critics for p in network.parameters()], rate, betas=(0.5, 0.999), fused=True
            )
        )
        self.pool_source, self.pool_target = ReplayPool(config.pool_size), ReplayPool(config.pool_size)
        self.alignment = Alignment(config.iterations if config.align else 0)
        factor = linear_decay(config.iterations, config.decay_from)
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
            for optimiser in (self.generator_optimiser, self.critic_optimiser)
        ]

    def step(self, source: torch.Tensor, target: torch.Tensor, choices: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update of the generators, then one of the discriminators, on slices (B, 1, Y, X).

        `choices` (2, B, 2) decides what the replay pools show, B counted over all processes. Returns the losses,
        detached.
        """
        fake_target, fake_source, losses = self._update_generators(source, target)
        losses["discriminator_a"], losses["discriminator_b"] = self._update_critics(
            (source, together(partial(self.pool_source.exchange, choices=choices[0]), fake_source)),
            (target, together(partial(self.pool_target.exchange, choices=choices[1]), fake_target)),
        )
        for scheduler in self.schedulers:
            scheduler.step()
        return losses

    def _update_generators(self, source, target):
        freeze(self.critic_source, True)
        freeze(self.critic_target, True)
        weight, identity_weight = self.config.cycle_weight, self.config.identity_weight
        if identity_weight:
            # One pass over both: every image is normalised by itself, so that they do not mix.
            fake_target, kept_target = self.source_to_target(torch.cat([source, target])).split(
                [len(source), len(target)]
            )
            fake_source, kept_source = self.target_to_source(torch.cat([target, source])).split(
                [len(target), len(source)]
            )
        else:
            fake_target, fake_source = self.source_to_target(source), self.target_to_source(target)
        losses = {
            "adversarial_ab": least_squares(self.critic_target(fake_target), real=True),
            "adversarial_ba": least_squares(self.critic_source(fake_source), real=True),
            "cycle_a": weight * l1_loss(self.target_to_source(fake_target), source),
            "cycle_b": weight * l1_loss(self.source_to_target(fake_source), target),
            "identity": torch.zeros((), device=source.device),
        }
        if identity_weight:
            kept = l1_loss(kept_source, source) + l1_loss(kept_target, target)
            losses["identity"] = weight * identity_weight * kept
        self.generator_optimiser.zero_grad()
        self.fabric.backward(sum(losses.values()))
        average_gradients(self.generator_optimiser)
        self.generator_optimiser.step()
        self.averages.update()
        return fake_target.detach(), fake_source.detach(), {name: loss.detach() for name, loss in losses.items()}

    def _update_critics(self, of_source, of_target):
        freeze(self.critic_source, False)
        freeze(self.critic_target, False)
        self.critic_optimiser.zero_grad()
        losses = []
        for critic, (real, fake) in ((self.critic_source, of_source), (self.critic_target, of_target)):
            of_real, of_fake = critic(torch.cat([real, fake])).split([len(real), len(fake)])
            loss = 0.5 * (least_squares(of_real, real=True) + least_squares(of_fake, real=False))
            self.fabric.backward(loss)
            losses.append(loss.detach())
        average_gradients(self.critic_optimiser)
        self.critic_optimiser.step()
        return losses

    @torch.no_grad()
    def align(self, source: torch.Tensor, target: torch.Tensor, interval: int) -> None:
        """Measure what the generators shift on slices (B, 1, Y, X); correct it by what `interval` iterations owe."""
        self.alignment.look((source, self.source_to_target(source)), (target, self.target_to_source(target)))
        self.alignment.correct(interval)

    def parts(self) -> dict[str, object]:
        """All that a resumable state must hold."""
        return {
            "source_to_target": self.source_to_target,
            "target_to_source": self.target_to_source,
            "critic_source": self.critic_source,
            "critic_target": self.critic_target,
            "averages": self.averages,
            "generator_optimiser": self.generator_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "generator_scheduler": self.schedulers[0],
            "critic_scheduler": self.schedulers[1],
            "pool_source": self.pool_source,
            "pool_target": self.pool_target,
            "alignment": self.alignment,
        }


@subnormals_as_zero()
def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train on the prepared cases; leaves both generators as safetensors, curves and sample sheets in `cyclegan/`."""
    folder, settings = stage_dir(run_dir, "cyclegan"), config.cyclegan
    torch.manual_seed(config.seed)
    fabric = make_fabric(config.precision)
    model = CycleGAN(settings, fabric)
    generator = np.random.default_rng([config.seed, 1])
    state = TrainingState(folder / "state.pt", model.parts(), generator)
    state.resume()
    samplers = [SliceSampler(read_cases(run_dir, domain), settings.sampling) for domain in ("source", "target")]
    log = LossLog(folder, (*LOSSES, "shift_rows", "apart_rows"), state.iteration)
    fit(model, samplers, state, log, folder)
    log.close()
    paths = []
    for name in ("source_to_target", "target_to_source"):
        path = folder / f"{name}.safetensors"
        state_dict = model.averages.network(name).state_dict()
        if leads():
            save_file({key: value.contiguous().cpu() for key, value in state_dict.items()}, path)
        paths.append(path)
    return paths


def fit(model: CycleGAN, samplers: list[SliceSampler], state: TrainingState, log: LossLog, folder: Path) -> None:
    """The loop: draw, step, and at intervals log, sample and save."""
    settings, device = model.config, model.fabric.device
    sums: dict[str, torch.Tensor] = {}
    interval = max(1, min(50, settings.iterations // 20))
    for iteration in track(
        range(state.iteration + 1, settings.iterations + 1), "cyclegan", settings.iterations, state.iteration
    ):
        rows = model.alignment.rows
        picks = (
            own_share(partial(sampler.draw, state.generator, apart))
            for sampler, apart in zip(samplers, (-rows, rows), strict=True)
        )
        source, target = (load_slices(part).to(device) for part in picks)
        choices = torch.from_numpy(state.generator.random((2, len(source) * world_size(), 2)))
        losses = model.step(source, target, choices)
        sums = {name: sums.get(name, 0) + loss for name, loss in losses.items()}
        state.iteration = iteration
        if iteration % interval == 0:
            model.align(source, target, interval)
            means = {name: float(value) / interval for name, value in sums.items()}
            log.write(iteration, {**means, "shift_rows": model.alignment.shift, "apart_rows": model.alignment.rows})
            sums = {}
        if leads() and (iteration % settings.sample_every == 0 or iteration == settings.iterations):
            save_samples(model, source, target, folder / "samples" / f"{iteration:07d}.png")
        if iteration % settings.checkpoint_every == 0 or iteration == settings.iterations:
            state.save()


@torch.no_grad()
def save_samples(model: CycleGAN, source: torch.Tensor, target: torch.Tensor, path: Path) -> None:
    """A sheet of the first slices: each domain, its translation and the way back."""
    to_target, to_source = (model.averages.network(name) for name in ("source_to_target", "target_to_source"))
    fake_target, fake_source = to_target(source), to_source(target)
    columns = {
        "T1": source,
        "T1 -> T2": fake_target,
        "-> T1": to_source(fake_target),
        "T2": target,
        "T2 -> T1": fake_source,
        "-> T2": to_target(fake_source),
    }
    save_sheet(path, {title: images[:4, 0].float().cpu().numpy() for title, images in columns.items()})
