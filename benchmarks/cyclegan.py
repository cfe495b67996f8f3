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
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import pick_device

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
    source, target = (torch.rand(size, device=pick_device()) * 2 - 1 for _ in range(2))
    choices = torch.rand(2, arguments.batch, 2)
    steps = steps_of(arguments, config)
    published = steps.pop(PUBLISHED)
    ways = {
        PUBLISHED: lambda: published(source, target),
        **{name: partial(step, source, target, choices) for name, step in steps.items()},
    }
    found = seconds_of(ways, arguments.repeats)
    print(f"{size[0]} x {arguments.side} x {arguments.side}, width {arguments.width}, {machine()}")
    for name, seconds in found.items():
        print(f"{name:>20}: {seconds:8.3f} s a step, {found[PUBLISHED] / seconds:.2f} x")
    loading = seconds_of_a_draw(arguments, config.sampling)
    step = min(seconds for name, seconds in found.items() if name.startswith("ours"))
    print(f"{'drawing both batches':>20}: {loading:8.3f} s, {loading / (loading + step):.1%} of a step with it")


def steps_of(arguments: argparse.Namespace, config: CycleGANConfig) -> dict[str, Callable[..., dict]]:
    """The published step and ours, in float32 and in the automatic precision where that is another; all start alike."""
    ours = in_each_precision(partial(CycleGAN, config))
    first = ours["ours, float32"]
    for model in ours.values():
        for name, part in model.parts().items():
            if isinstance(part, torch.nn.Module):
                part.load_state_dict(first.parts()[name].state_dict())
    published = PublishedCycleGAN(arguments.width, arguments.blocks, arguments.critic_width)
    for network, own in (
        (published.forth, first.source_to_target),
        (published.back, first.target_to_source),
        (published.critic_a, first.discriminator_source),
        (published.critic_b, first.discriminator_target),
    ):
        take_weights(network.to(first.fabric.device), own)
    return {PUBLISHED: published.step, **{name: model.step for name, model in ours.items()}}


def curve(arguments: argparse.Namespace, config: CycleGANConfig) -> None:
    """Print the losses of all ways on the same slices of a run."""
    config = replace(config, iterations=arguments.steps)
    sampling = replace(config.sampling, crop_yx=(arguments.side, arguments.side))
    samplers = [SliceSampler(read_cases(arguments.curve, domain), sampling) for domain in ("source", "target")]
    steps, generator = steps_of(arguments, config), np.random.default_rng(0)
    published, device = steps.pop(PUBLISHED), pick_device()

    def draw() -> tuple[torch.Tensor, ...]:
        slices = [load_slices(sampler.sample(generator)).to(device) for sampler in samplers]
        return *slices, torch.from_numpy(generator.random((2, arguments.batch, 2)))

    print(f"{arguments.batch} x {arguments.side} x {arguments.side}, width {arguments.width}, {machine()}")
    print_curves({PUBLISHED: lambda source, target, _: published(source, target), **steps}, draw, arguments.steps)


def seconds_of_a_draw(arguments: argparse.Namespace, sampling: SamplingConfig) -> float:
    """Seconds to draw and read a source and a target batch from memory-mapped volumes."""
    with tempfile.TemporaryDirectory() as folder:
        cases = [write_case(Path(folder), number, arguments.side) for number in range(10)]
        sampler, generator = SliceSampler(cases, sampling), np.random.default_rng(0)
        return seconds_of({"draw": lambda: [load_slices(sampler.sample(generator)) for _ in range(2)]}, 20)["draw"]


def write_case(folder: Path, number: int, side: int) -> PreparedCase:
    """A prepared volume of 40 slices of noise."""
    path = folder / f"case_{number}.npy"
    np.save(path, np.random.default_rng(number).uniform(-1, 1, (40, side, side)).astype(np.float16))
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
