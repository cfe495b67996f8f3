"""One pix2pix step, ours against the published update, on the same pairs and widths in float32.

    python benchmarks/pix2pix.py                                          U-Net 256, width 64, batch 1: as published
    python benchmarks/pix2pix.py --architecture resnet --width 16 --blocks 4 --critic-width 32 --side 96 --batch 4
    python benchmarks/pix2pix.py --curve runs/x --architecture resnet --width 16 --blocks 4 --critic-width 32 --side 48

Prints seconds a step and their ratio; with `--curve` the losses of both on the same pairs of a run, from the same
weights. Where `precision: auto` means bfloat16 ours runs in that as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from published import PublishedPix2Pix, UNet, resnet, take_weights
from timing import in_each_precision, machine, print_curves, seconds_of

from training.config import Pix2PixConfig, SamplingConfig
from training.data.slices import SliceSampler, load_slices, read_cases
from training.gan.devices import subnormals_as_zero
from training.stage_table import TRANSFER
from training.stages.pix2pix import Pix2Pix
from vestibule.device import pick_device
from vestibule.networks import GeneratorConfig

PUBLISHED = "published, float32"


@subnormals_as_zero()
def main() -> None:
    """Time both and print the ratio."""
    arguments = parse()
    torch.manual_seed(0)
    steps = steps_of(arguments)
    device = pick_device()
    size = (arguments.batch, 1, arguments.side, arguments.side)
    print(f"{arguments.architecture}, {size[0]} x {arguments.side} x {arguments.side}, {machine()}")
    if arguments.curve:
        print_curves(steps, pairs_of(arguments), arguments.steps)
        return

    condition = torch.rand(size, device=device) * 2 - 1
    real = torch.rand(size, device=device) * 2 - 1
    ways = {name: partial(step, condition, real) for name, step in steps.items()}
    found = seconds_of(ways, arguments.repeats)
    for name, seconds in found.items():
        print(f"{name:>20}: {seconds:8.3f} s a step, {found[PUBLISHED] / seconds:.2f} x")


def steps_of(arguments: argparse.Namespace) -> dict[str, Callable[..., dict]]:
    """The published step and ours, in float32 and in the automatic precision where that is another; all start alike."""
    plain = UNet if arguments.architecture == "unet" else resnet
    dropout = 0.5 if arguments.architecture == "unet" else 0.0
    config = Pix2PixConfig(
        generator=GeneratorConfig(arguments.architecture, arguments.width, arguments.blocks, dropout),
        discriminator_width=arguments.critic_width,
        iterations=arguments.steps,
    )
    ours = in_each_precision(partial(Pix2Pix, config))
    first = ours["ours, float32"]
    for model in ours.values():
        model.generator.load_state_dict(first.generator.state_dict())
        model.discriminator.load_state_dict(first.discriminator.state_dict())

    generator = plain(arguments.width, arguments.blocks)
    published = PublishedPix2Pix(generator, arguments.critic_width)
    device = first.fabric.device
    take_weights(published.generator.to(device), first.generator)
    take_weights(published.discriminator.to(device), first.discriminator)
    steps = {PUBLISHED: published.step}
    for name, model in ours.items():
        steps[name] = model.step
    return steps


def pairs_of(arguments: argparse.Namespace) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """What samples pairs (T2, T1) from B' and A of a run that has both."""
    sources = {case.name: case for case in read_cases(arguments.curve, "source")}
    sampling = SamplingConfig(batch_size=arguments.batch, crop_yx=(arguments.side, arguments.side))
    sampler = SliceSampler(read_cases(arguments.curve, "source", TRANSFER), sampling)
    generator = np.random.default_rng(0)
    device = pick_device()

    def sample() -> tuple[torch.Tensor, torch.Tensor]:
        picks = sampler.sample(generator)
        partners = [replace(pick, case=sources[pick.case.name]) for pick in picks]
        condition = load_slices(picks).to(device)  # (B, 1, Y, X)
        real = load_slices(partners).to(device)  # (B, 1, Y, X)
        return condition, real

    return sample


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=("unet", "resnet"), default="unet")
    for name, default in (("width", 64), ("blocks", 8), ("critic-width", 64), ("side", 256), ("batch", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--curve", type=Path, help="a run with a finished transfer stage, whose pairs are trained on")
    parser.add_argument("--steps", type=int, default=1200, help="of the curve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
