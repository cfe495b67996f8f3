"""One CycleGAN step, ours against the published update: the same slices, widths and float32; and where ours is spent.

    python benchmarks/cyclegan.py                               width 64, 9 blocks, 256 x 256, batch 1: as published
    python benchmarks/cyclegan.py --width 16 --blocks 4 --critic-width 32 --side 96 --batch 2    as small as in a demo
    python benchmarks/cyclegan.py --curve runs/x --width 16 --blocks 4 --critic-width 32 --side 48 --batch 2

Prints seconds a step and their ratio; with `--curve` the losses of both on the same slices of a run, from the same
weights. Where `precision: auto` means bfloat16 ours runs in that as well.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from published import PublishedCycleGAN, take_weights
from timing import in_each_precision, machine, print_curves, seconds_of

from training.config import CycleGANConfig, SamplingConfig
from training.data.slices import PreparedCase, SliceSampler, load_slices, read_cases
from training.gan.devices import subnormals_as_zero
from training.stages.cyclegan import CycleGAN
from vestibule.device import pick_device
from vestibule.networks import GeneratorConfig

PUBLISHED = "published, float32"


@subnormals_as_zero()
def main() -> None:
    """Time both and print the ratio, and the share of the data."""
    arguments = parse()
    torch.manual_seed(0)
    size = (arguments.batch, 1, arguments.side, arguments.side)
    config = CycleGANConfig(
        generator=GeneratorConfig("resnet", arguments.width, arguments.blocks),
        discriminator_width=arguments.critic_width,
        sampling=SamplingConfig(batch_size=arguments.batch),
    )
    if arguments.curve:
        curve(arguments, config)
        return

    device = pick_device()
    source = torch.rand(size, device=device) * 2 - 1
    target = torch.rand(size, device=device) * 2 - 1
    choices = torch.rand(2, arguments.batch, 2)
    steps = steps_of(arguments, config)
    ways = {PUBLISHED: partial(steps.pop(PUBLISHED), source, target)}
    for name, step in steps.items():
        ways[name] = partial(step, source, target, choices)
    found = seconds_of(ways, arguments.repeats)

    print(f"{size[0]} x {arguments.side} x {arguments.side}, width {arguments.width}, {machine()}")
    for name, seconds in found.items():
        print(f"{name:>20}: {seconds:8.3f} s a step, {found[PUBLISHED] / seconds:.2f} x")
    loading = seconds_of_batches(arguments, config.sampling)
    fastest = min(seconds for name, seconds in found.items() if name.startswith("ours"))
    share = loading / (loading + fastest)
    print(f"{'reading both batches':>20}: {loading:8.3f} s, {share:.1%} of a step with it")


def steps_of(arguments: argparse.Namespace, config: CycleGANConfig) -> dict[str, Callable[..., dict]]:
    """The published step and ours, in float32 and in the automatic precision where that is another; all start alike."""
    ours = in_each_precision(partial(CycleGAN, config))
    first = ours["ours, float32"]
    first_parts = first.parts()
    for model in ours.values():
        for name, part in model.parts().items():
            if isinstance(part, torch.nn.Module):
                part.load_state_dict(first_parts[name].state_dict())

    published = PublishedCycleGAN(arguments.width, arguments.blocks, arguments.critic_width)
    device = first.fabric.device
    for network, own in (
        (published.forth, first.source_to_target),
        (published.back, first.target_to_source),
        (published.discriminator_a, first.discriminator_source),
        (published.discriminator_b, first.discriminator_target),
    ):
        take_weights(network.to(device), own)
    steps = {PUBLISHED: published.step}
    for name, model in ours.items():
        steps[name] = model.step
    return steps


def curve(arguments: argparse.Namespace, config: CycleGANConfig) -> None:
    """Print the losses of all ways on the same slices of a run."""
    config = replace(config, iterations=arguments.steps)
    sampling = replace(config.sampling, crop_yx=(arguments.side, arguments.side))
    sources = SliceSampler(read_cases(arguments.curve, "source"), sampling)
    targets = SliceSampler(read_cases(arguments.curve, "target"), sampling)
    generator = np.random.default_rng(0)
    device = pick_device()
    steps = steps_of(arguments, config)
    published = steps[PUBLISHED]
    # It has a pool of its own, and no use for our random choices from ours.
    steps[PUBLISHED] = lambda source, target, _: published(source, target)

    def sample() -> tuple[torch.Tensor, ...]:
        source = load_slices(sources.sample(generator)).to(device)
        target = load_slices(targets.sample(generator)).to(device)
        choices = torch.from_numpy(generator.random((2, arguments.batch, 2)))
        return source, target, choices

    print(f"{arguments.batch} x {arguments.side} x {arguments.side}, width {arguments.width}, {machine()}")
    print_curves(steps, sample, arguments.steps)


def seconds_of_batches(arguments: argparse.Namespace, sampling: SamplingConfig) -> float:
    """Seconds to sample and read a source and a target batch from memory-mapped volumes."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        cases = [write_case(Path(folder), number, arguments.side) for number in range(10)]
        sampler = SliceSampler(cases, sampling)

        def read_both() -> None:
            for _ in range(2):
                load_slices(sampler.sample(generator))

        return seconds_of({"read": read_both}, 20)["read"]


def write_case(folder: Path, number: int, side: int) -> PreparedCase:
    """A prepared volume of 40 slices of noise."""
    path = folder / f"case_{number}.npy"
    noise = np.random.default_rng(number).uniform(-1, 1, (40, side, side))
    np.save(path, noise.astype(np.float16))
    return PreparedCase(f"case_{number}", "source", "ldn", path, None, (1.5, 0.6, 0.6), (0.5,) * 40, ())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 64), ("blocks", 9), ("critic-width", 64), ("side", 256), ("batch", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--curve", type=Path, help="a run with prepared cases, whose slices are trained on")
    parser.add_argument("--steps", type=int, default=1200, help="of the curve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
