"""CycleGAN: the approximate mappings phi0_AB (T1 -> T2) and phi0_BA (T2 -> T1), unpaired. Zhu et al. 2017.

It is right outside the tumour and erases the tumour in part; its T2 -> T1 half is the baseline arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.functional import l1_loss

from training.config import CycleGANConfig, RunConfig
from training.data.raw_cases import KnownCases
from training.data.site_code import SITES, SiteCoded, check_sites, code_of, sites_of, with_code
from training.data.slices import SliceSampler, load_labels, load_slices, read_cases
from training.gan.alignment import Alignment
from training.gan.checkpoint import Stateful, freeze, save_weights
from training.gan.devices import make_fabric, subnormals_as_zero
from training.gan.discriminators import PatchGAN, ReplayPool, discriminator_loss, initialise, least_squares
from training.gan.distributed import mean_over_processes, own_share, together
from training.gan.ema import WeightAverage
from training.gan.loop import AdversarialModel, fit
from training.gan.optimiser import Optimiser
from training.gan.segmentation_head import SegmentationHead, label_values
from training.stage_table import CYCLEGAN
from vestibule.editions import get_edition
from vestibule.files import write_json
from vestibule.networks import build_generator

Pair = tuple[torch.Tensor, torch.Tensor]
"""Slices and what belongs to them, each (B, 1, Y, X)."""


class CycleGAN(AdversarialModel):
    """Both generators and both discriminators with their optimisers, and the two update rules."""

    config: CycleGANConfig
    losses: tuple[str, ...] = (
        "adversarial_ab",
        "adversarial_ba",
        "cycle_a",
        "cycle_b",
        "identity",
        "discriminator_a",
        "discriminator_b",
    )
    measures = ("shift_rows", "apart_rows")
    compared: ClassVar[Mapping[str, str]] = {"T1 back": "T1", "T2 back": "T2"}

    def __init__(
        self, config: CycleGANConfig, fabric: Fabric, label_values: Sequence[int] = (), sites: Sequence[str] = ()
    ) -> None:
        """Weights are random, by PyTorch's generator.

        Args:
            config: Networks and losses.
            fabric: Knows the processes, the device and the arithmetic.
            label_values: What the segmentation head is to find, where the configuration has one.
            sites: Names of those whose code the T1 -> T2 generator is given; none: it has no code.
        """
        self.config = config
        self.fabric = fabric
        self.sites = list(sites)
        # A seed fixes the weights, so the order in which the networks are made must stay.
        to_target = initialise(build_generator(config.generator))
        to_source = initialise(build_generator(config.generator))
        if self.sites:
            to_target = SiteCoded(to_target, len(self.sites))
        size = (config.discriminator_width, config.discriminator_layers)
        of_source = initialise(PatchGAN(1, *size))
        # It sees the code, too, or nothing would tie it to a look.
        of_target = initialise(PatchGAN(1 + len(self.sites), *size))

        self.source_to_target = fabric.setup_module(to_target)
        self.target_to_source = fabric.setup_module(to_source)
        self.discriminator_source = fabric.setup_module(of_source)
        self.discriminator_target = fabric.setup_module(of_target)

        trained: list[nn.Module] = [to_target, to_source]
        self.head: nn.Module | None = None
        self._plain_head: SegmentationHead | None = None
        if config.segmentation_weight:
            # After the others, whose first weights are the same with and without it.
            head = SegmentationHead(label_values)
            trained.append(head)
            self._plain_head = head
            self.head = fabric.setup_module(head)
            self.losses = (*self.losses, "segmentation")

        # Means are kept of the networks themselves, which is what is left behind.
        generators = {"source_to_target": to_target, "target_to_source": to_source}
        self.averages = WeightAverage(generators, config.average)

        self.generator_optimiser = Optimiser(fabric, trained, config)
        self.discriminator_optimiser = Optimiser(fabric, [of_source, of_target], config)

        self.pool_source = ReplayPool(config.pool_size)
        self.pool_target = ReplayPool(config.pool_size)
        self.alignment = Alignment(config.iterations if config.align else 0)

    def step(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        choices: torch.Tensor,
        labels: torch.Tensor | None = None,
        code: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Update the generators once, then the discriminators.

        Args:
            source: T1 slices (B, 1, Y, X) in [-1, 1].
            target: T2 slices likewise.
            choices: What the replay pools show, (2, B, 2) in [0, 1), B counted over all processes.
            labels: Labels of the T1 slices (B, 1, Y, X), where there is a segmentation head.
            code: Sites of the T2 slices (B, sites), where there is a code. T1 is given the same looks.

        Returns:
            The losses by name, detached scalars.
        """
        fake_target, fake_source, losses = self._update_generators(source, target, labels, code)
        fake_target = with_code(fake_target, code)
        real_target = with_code(target, code)

        # The pools are the same in every process, so they see the fakes of all.
        of_source, of_target = choices
        exchange = partial(self.pool_source.exchange, choices=of_source)
        shown_source = together(self.fabric, exchange, fake_source)
        exchange = partial(self.pool_target.exchange, choices=of_target)
        shown_target = together(self.fabric, exchange, fake_target)

        source_loss, target_loss = self._update_discriminators((source, shown_source), (real_target, shown_target))
        losses["discriminator_a"] = source_loss
        losses["discriminator_b"] = target_loss
        return losses

    def _update_generators(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        labels: torch.Tensor | None,
        code: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Returns the fake target and source slices (B, 1, Y, X) and the losses, all detached."""
        # Gradients pass through the discriminators here, but their weights need none.
        freeze(self.discriminator_source, True)
        freeze(self.discriminator_target, True)
        weight = self.config.cycle_weight
        identity_weight = self.config.identity_weight
        if identity_weight:
            # One pass over both: every image is normalised by itself, so that they do not mix.
            towards_target = torch.cat([with_code(source, code), with_code(target, code)])
            to_target = self.source_to_target(towards_target)  # (2 B, 1, Y, X)
            to_source = self.target_to_source(torch.cat([target, source]))
            fake_target, kept_target = to_target.chunk(2)
            fake_source, kept_source = to_source.chunk(2)
            # Weighed relative to the cycle, as in the published code.
            kept = l1_loss(kept_source, source) + l1_loss(kept_target, target)
            identity = weight * identity_weight * kept
        else:
            fake_target = self.source_to_target(with_code(source, code))
            fake_source = self.target_to_source(target)
            identity = torch.zeros((), device=source.device)

        coded = with_code(fake_target, code)
        adversarial_ab = least_squares(self.discriminator_target(coded), real=True)
        adversarial_ba = least_squares(self.discriminator_source(fake_source), real=True)
        cycle_a = weight * l1_loss(self.target_to_source(fake_target), source)
        back = self.source_to_target(with_code(fake_source, code))
        cycle_b = weight * l1_loss(back, target)

        losses = {
            "adversarial_ab": adversarial_ab.detach(),
            "adversarial_ba": adversarial_ba.detach(),
            "cycle_a": cycle_a.detach(),
            "cycle_b": cycle_b.detach(),
            "identity": identity.detach(),
        }
        total = adversarial_ab + adversarial_ba + cycle_a + cycle_b + identity
        if self.head is not None:
            # Trained in the same step: the head on what the generator makes, the generator on what the head finds.
            segmentation = self.config.segmentation_weight * self.head(fake_target, labels)
            total = total + segmentation
            losses["segmentation"] = segmentation.detach()
        self.generator_optimiser.minimise(total)
        self.averages.update()
        return fake_target.detach(), fake_source.detach(), losses

    def _update_discriminators(self, of_source: Pair, of_target: Pair) -> Pair:
        """Update both on pairs of (real, fake) slices of their domain. Returns their losses, detached scalars."""
        freeze(self.discriminator_source, False)
        freeze(self.discriminator_target, False)
        source_loss = discriminator_loss(self.discriminator_source, *of_source)
        target_loss = discriminator_loss(self.discriminator_target, *of_target)
        # They share no weight, so that the sum gives each its own gradient.
        self.discriminator_optimiser.minimise(source_loss + target_loss)
        return source_loss.detach(), target_loss.detach()

    def measure(self, interval: int, source: torch.Tensor, target: torch.Tensor, *more: Any) -> dict[str, float]:
        """Measure what the generators shift on slices (B, 1, Y, X); correct it by what `interval` iterations owe."""
        code = self._code_in(more)
        with torch.no_grad():
            fake_target = self.source_to_target(with_code(source, code))
            fake_source = self.target_to_source(target)
        over_processes = partial(mean_over_processes, self.fabric)
        self.alignment.look((source, fake_target), (target, fake_source), over_processes)
        self.alignment.correct(interval)
        return {"shift_rows": self.alignment.shift, "apart_rows": self.alignment.rows}

    def _code_in(self, more: Sequence[Any]) -> torch.Tensor | None:
        """The code in what follows the slices of a batch, where there is one."""
        return more[-1] if self.sites else None

    def sheet(self, source: torch.Tensor, target: torch.Tensor, *more: Any) -> dict[str, torch.Tensor]:
        """Each domain, its translation and the way back, (B, 1, Y, X); last what the segmentation head finds."""
        to_target = self.averages.network("source_to_target")
        to_source = self.averages.network("target_to_source")
        code = self._code_in(more)
        fake_target = to_target(with_code(source, code))
        fake_source = to_source(target)
        columns = {
            "T1": source,
            "synthetic T2": fake_target,
            "T1 back": to_source(fake_target),
            "T2": target,
            "synthetic T1": fake_source,
            "T2 back": to_target(with_code(fake_source, code)),
        }
        if self._plain_head is not None:
            columns["found in synthetic T2"] = self._plain_head.found(fake_target)
        return columns

    def parts(self) -> dict[str, Stateful]:
        """All that a resumable state must hold."""
        parts: dict[str, Stateful] = {
            "source_to_target": self.source_to_target,
            "target_to_source": self.target_to_source,
            "discriminator_source": self.discriminator_source,
            "discriminator_target": self.discriminator_target,
            "averages": self.averages,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
            "pool_source": self.pool_source,
            "pool_target": self.pool_target,
            "alignment": self.alignment,
        }
        if self.head is not None:
            parts["head"] = self.head
        return parts


def check(config: RunConfig, known: KnownCases) -> None:
    """Raise InputError where a site code is asked for, and T2 cases do not tell several sites."""
    check_site_code(config.cyclegan, config, known)


def check_site_code(settings: CycleGANConfig, config: RunConfig, known: KnownCases) -> None:
    """Raise InputError as `check` does, for the settings of any CycleGAN."""
    if not settings.site_code:
        return
    edition = get_edition(config.edition)
    found = {}
    for case in known.of("target"):
        found[case.name] = edition.site_of(case.name)
    check_sites(found)


@subnormals_as_zero()
def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train on the prepared cases; leaves both generators as safetensors, curves and sample sheets in `cyclegan/`."""
    torch.manual_seed(config.seed)
    # Other stages have other second numbers, so that they sample other slices.
    generator = np.random.default_rng([config.seed, 1])
    return train_pair(config.cyclegan, config.precision, generator, run_dir, CYCLEGAN.folder(run_dir))


def train_pair(
    settings: CycleGANConfig, precision: str, generator: np.random.Generator, run_dir: Path, folder: Path
) -> list[Path]:
    """Train a CycleGAN on the prepared cases, its first weights by PyTorch's generator.

    Args:
        settings: Networks and training.
        precision: Arithmetic.
        generator: What slices are sampled by.
        run_dir: Folder of the run.
        folder: Where both generators are left as safetensors, curves and sample sheets.

    Returns:
        Paths of the generators; with a site code of the names of the sites, too.
    """
    source_cases = read_cases(run_dir, "source")
    target_cases = read_cases(run_dir, "target")
    values = label_values(source_cases) if settings.segmentation_weight else []
    sites = sites_of(target_cases) if settings.site_code else []
    model = CycleGAN(settings, make_fabric(precision), values, sites)
    sources = SliceSampler(source_cases, settings.sampling)
    targets = SliceSampler(target_cases, settings.sampling)
    fit(model, partial(sample_batch, model, sources, targets, generator), generator, folder)

    paths = []
    if sites:
        write_json(folder / SITES, {"sites": sites})
        paths.append(folder / SITES)
    for name in ("source_to_target", "target_to_source"):
        path = folder / f"{name}.safetensors"
        save_weights(model.averages.network(name), path)
        paths.append(path)
    return paths


def sample_batch(
    model: CycleGAN, sources: SliceSampler, targets: SliceSampler, generator: np.random.Generator
) -> tuple[torch.Tensor | None, ...]:
    """This process's batch for a step, as `CycleGAN.step` takes it.

    Source and target slices (B, 1, Y, X), and what the replay pools shall show; with a segmentation head or a site code
    the labels of the source slices and the sites of the target slices, too.
    """
    fabric = model.fabric
    rows = model.alignment.rows
    # Target parts lie lower where the generators shift downwards, so that nothing is left to learn of it.
    source_picks = own_share(fabric, partial(sources.sample, generator, -rows))
    target_picks = own_share(fabric, partial(targets.sample, generator, rows))
    slices = (load_slices(source_picks), load_slices(target_picks))
    source, target = fabric.to_device(slices)
    # For the fakes of all processes, which every pool sees.
    fakes = len(source) * fabric.world_size
    choices = torch.from_numpy(generator.random((2, fakes, 2)))
    labels = None
    if model.head is not None:
        labels = fabric.to_device(load_labels(source_picks))
    if not model.sites:
        return source, target, choices, labels
    shown = [pick.case for pick in target_picks]
    code = fabric.to_device(code_of(shown, model.sites))
    return source, target, choices, labels, code
