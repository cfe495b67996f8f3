"""One CycleGAN step, ours against the published update: the same slices, widths and float32; and where ours is spent.

    python benchmarks/cyclegan.py                               width 64, 9 blocks, 256 x 256, batch 1: as published
    python benchmarks/cyclegan.py --width 16 --blocks 4 --critic-width 32 --side 96 --batch 2    configs/phantom.yaml's

Prints seconds a step and their ratio. On a GPU ours also runs in the precision that `precision: auto` takes there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from published import PublishedCycleGAN
from timing import machine, seconds_of

from training.config import CycleGANConfig, SamplingConfig
from training.cyclegan import CycleGAN
from training.devices import make_fabric, subnormals_as_zero
from training.slices import PreparedCase, SliceSampler, load_slices
from vestibule.networks import GeneratorConfig


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
    fabric = make_fabric("32-true")
    source, target = (torch.rand(size, device=fabric.device) * 2 - 1 for _ in range(2))
    choices = torch.rand(2, arguments.batch, 2)
    published = PublishedCycleGAN(arguments.width, arguments.blocks, arguments.critic_width)
    for network in (published.forth, published.back, published.critic_a, published.critic_b):
        network.to(fabric.device)
    ours = CycleGAN(config, fabric)
    ways = {
        "published, float32": lambda: published.step(source, target),
        "ours, float32": lambda: ours.step(source, target, choices),
    }
    automatic = make_fabric("auto")
    if "bf16" in str(automatic._precision.precision):
        fast = CycleGAN(config, automatic)
        ways["ours, bf16"] = lambda: fast.step(source, target, choices)
    found = seconds_of(ways, arguments.repeats)
    print(f"{size[0]} x {arguments.side} x {arguments.side}, width {arguments.width}, {machine()}")
    for name, seconds in found.items():
        print(f"{name:>20}: {seconds:8.3f} s a step, {found['published, float32'] / seconds:.2f} x")
    loading = seconds_of_a_draw(arguments, config.sampling)
    step = min(seconds for name, seconds in found.items() if name.startswith("ours"))
    print(f"{'drawing both batches':>20}: {loading:8.3f} s, {loading / (loading + step):.1%} of a step with it")


def seconds_of_a_draw(arguments: argparse.Namespace, sampling: SamplingConfig) -> float:
    """Seconds to draw and read a source and a target batch from memory-mapped volumes."""
    with tempfile.TemporaryDirectory() as folder:
        cases = [write_case(Path(folder), number, arguments.side) for number in range(10)]
        sampler, generator = SliceSampler(cases, sampling), np.random.default_rng(0)
        return seconds_of({"draw": lambda: [load_slices(sampler.draw(generator)) for _ in range(2)]}, 20)["draw"]


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
    return parser.parse_args()


if __name__ == "__main__":
    main()
