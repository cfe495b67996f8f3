"""pix2pix: phi_B'A, from T2 with reinforced tumours to T1, on the pairs (J~, I). Isola et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric

from training.config import Pix2PixConfig, RunConfig
from training.data.slices import PreparedCase, SliceSampler, load_labels, load_slices, read_cases
from training.diagnostics.vanishing import vanishing_tumours
from training.gan.checkpoint import Stateful, freeze, save_weights
from training.gan.devices import make_fabric, subnormals_as_zero
from training.gan.discriminators import PatchGAN, discriminator_loss, initialise, least_squares
from training.gan.distributed import own_share
from training.gan.ema import WeightAverage
from training.gan.loop import AdversarialModel, fit
from training.gan.optimiser import Optimiser
from training.stage_table import CYCLEGAN, PIX2PIX, TRANSFER
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.networks import build_generator
from vestibule.tensors import read_tensors


class Pix2Pix(AdversarialModel):
    """Generator and conditional discriminator with their optimisers, and the two update rules."""

    config: Pix2PixConfig
    losses = ("adversarial", "pixel", "discriminator")
    compared: ClassVar[Mapping[str, str]] = {"synthetic T1": "T1"}

    def __init__(self, config: Pix2PixConfig, fabric: Fabric) -> None:
        self.config = config
        self.fabric = fabric
        # A seed fixes the weights, so the order in which the networks are made must stay.
        generator = initialise(build_generator(config.generator))
        self.average = WeightAverage({"generator": generator}, config.average)
        # Two channels: an image and the condition that it belongs to.
        discriminator = initialise(PatchGAN(2, config.discriminator_width, config.discriminator_layers))
        self.generator = fabric.setup_module(generator)
        self.discriminator = fabric.setup_module(discriminator)

        self.generator_optimiser = Optimiser(fabric, [generator], config)
        self.discriminator_optimiser = Optimiser(fabric, [discriminator], config)

    def step(
        self, condition: torch.Tensor, real: torch.Tensor, tumour: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Update the discriminator once, then the generator.

        Args:
            condition: T2 slices (B, 1, Y, X) in [-1, 1].
            real: The T1 slices that belong to them, likewise.
            tumour: Pixels that count by `tumour_weight` in the pixel loss, bool (B, 1, Y, X).

        Returns:
            The losses by name, detached scalars.
        """
        fake = self.generator(condition)

        freeze(self.discriminator, False)
        real_pair = torch.cat([condition, real], dim=1)  # (B, 2, Y, X)
        fake_pair = torch.cat([condition, fake], dim=1)
        # Detached, so that this update leaves the generator alone.
        told_apart = discriminator_loss(self.discriminator, real_pair, fake_pair.detach())
        self.discriminator_optimiser.minimise(told_apart)

        freeze(self.discriminator, True)
        adversarial = least_squares(self.discriminator(fake_pair), real=True)
        # The pixel loss keeps what is where; the adversarial one alone would allow any T1.
        difference = weighted_l1(fake, real, tumour, self.config.tumour_weight)
        pixel = self.config.pixel_weight * difference
        self.generator_optimiser.minimise(adversarial + pixel)
        self.average.update()
        return {
            "adversarial": adversarial.detach(),
            "pixel": pixel.detach(),
            "discriminator": told_apart.detach(),
        }

    def sheet(self, condition: torch.Tensor, real: torch.Tensor, *_: torch.Tensor) -> dict[str, torch.Tensor]:
        """T2 with reinforced tumour, the true T1, and the translation, (B, 1, Y, X)."""
        generator = self.average.network("generator")
        return {"T2 (B')": condition, "T1": real, "synthetic T1": generator(condition)}

    def parts(self) -> dict[str, Stateful]:
        """All that a resumable state must hold."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
        }


def weighted_l1(
    fake: torch.Tensor, real: torch.Tensor, tumour: torch.Tensor | None, tumour_weight: float
) -> torch.Tensor:
    """Mean absolute difference of images, in which the pixels of a tumour count `tumour_weight` times.

    Args:
        fake: Translated images (B, 1, Y, X).
        real: True images, likewise.
        tumour: Pixels of the tumour, bool (B, 1, Y, X); None where all count alike.
        tumour_weight: Weight of a tumour pixel beside 1 of any other.

    Returns:
        A scalar; the weights are not divided by their sum.
    """
    difference = (fake - real).abs()
    if tumour is not None and tumour_weight != 1:
        weights = torch.where(tumour, tumour_weight, 1.0)
        difference = difference * weights
    return difference.mean()


@subnormals_as_zero()
def train(config: RunConfig, run_dir: Path) -> list[Path]:
    """Train on (B', A); leaves the generator as safetensors, curves and sample sheets in `pix2pix/`."""
    folder = PIX2PIX.folder(run_dir)
    settings = config.pix2pix
    torch.manual_seed(config.seed)
    model = Pix2Pix(settings, make_fabric(config.precision))
    if settings.warm_start:
        weights = read_tensors(CYCLEGAN.folder(run_dir) / "target_to_source.safetensors")
        model.generator.load_state_dict(weights)
    generator = np.random.default_rng([config.seed, 3])
    pairs = PairSampler(
        SliceSampler(read_cases(run_dir, "source", TRANSFER), settings.sampling, settings.tumour_share),
        read_cases(run_dir, "source"),
        get_edition(config.edition),
    )
    fit(model, partial(pairs.sample, model.fabric, generator), generator, folder)

    path = folder / "generator.safetensors"
    save_weights(model.average.network("generator"), path)
    return [path]


def inspect(config: RunConfig, run_dir: Path) -> list[str]:
    """What there is to warn of: tumours that synthetic T1 does not show."""
    warning = vanishing_tumours(run_dir, get_edition(config.edition))
    return [warning] if warning else []


class PairSampler:
    """Samples slices of B' with the T1 slices of the same places."""

    def __init__(self, sampler: SliceSampler, sources: list[PreparedCase], edition: Edition) -> None:
        """Nothing is read yet.

        Args:
            sampler: Samples from the cases of B', which are labelled.
            sources: The T1 cases that they were made of, of the same names.
            edition: What the labels mean.
        """
        self._sampler = sampler
        self._sources = {case.name: case for case in sources}
        self._edition = edition

    def sample(self, fabric: Fabric, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """This process's T2 and T1 slices for a step and the pixels of tumours, (B, 1, Y, X) each."""
        picks = own_share(fabric, partial(self._sampler.sample, generator))
        # The same places of the same cases on T1.
        partners = []
        for pick in picks:
            source = self._sources[pick.case.name]
            partners.append(replace(pick, case=source))

        condition = load_slices(picks)
        real = load_slices(partners)
        labels = load_labels(picks).numpy()
        tumour = torch.from_numpy(self._edition.mask_of(labels, TUMOUR))
        return fabric.to_device((condition, real, tumour))
