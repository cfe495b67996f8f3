"""One pix2pix step, ours against the published update, on the same pairs and widths in float32.

    python benchmarks/pix2pix.py                                          U-Net 256, width 64, batch 1: as published
    python benchmarks/pix2pix.py --architecture resnet --width 16 --blocks 4 --critic-width 32 --side 96 --batch 4

Prints seconds a step and their ratio. On a GPU ours also runs in the precision that `precision: auto` takes there.
"""

from __future__ import annotations

import argparse

import torch
from published import PublishedPix2Pix, UNet, resnet
from timing import machine, seconds_of

from training.config import Pix2PixConfig
from training.devices import make_fabric, subnormals_as_zero
from training.pix2pix import Pix2Pix
from vestibule.networks import GeneratorConfig


@subnormals_as_zero()
def main() -> None:
    """Time both and print the ratio."""
    arguments = parse()
    torch.manual_seed(0)
    plain = UNet if arguments.architecture == "unet" else resnet
    dropout = 0.5 if arguments.architecture == "unet" else 0.0
    config = Pix2PixConfig(
        generator=GeneratorConfig(arguments.architecture, arguments.width, arguments.blocks, dropout),
        discriminator_width=arguments.critic_width,
    )
    fabric = make_fabric("32-true")
    size = (arguments.batch, 1, arguments.side, arguments.side)
    condition, real = (torch.rand(size, device=fabric.device) * 2 - 1 for _ in range(2))
    generator = plain(arguments.width, arguments.blocks).to(fabric.device)
    published = PublishedPix2Pix(generator, arguments.critic_width)
    published.critic.to(fabric.device)
    ours = Pix2Pix(config, fabric)
    ways = {
        "published, float32": lambda: published.step(condition, real),
        "ours, float32": lambda: ours.step(condition, real),
    }
    automatic = make_fabric("auto")
    if "bf16" in str(automatic._precision.precision):
        fast = Pix2Pix(config, automatic)
        ways["ours, bf16"] = lambda: fast.step(condition, real)
    found = seconds_of(ways, arguments.repeats)
    print(f"{arguments.architecture}, {size[0]} x {arguments.side} x {arguments.side}, {machine()}")
    for name, seconds in found.items():
        print(f"{name:>20}: {seconds:8.3f} s a step, {found['published, float32'] / seconds:.2f} x")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=("unet", "resnet"), default="unet")
    for name, default in (("width", 64), ("blocks", 8), ("critic-width", 64), ("side", 256), ("batch", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
