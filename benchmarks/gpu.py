"""What is to be known of a GPU, in one command and one table: our updates, SinGAN's whole schedule, prediction.

    python benchmarks/gpu.py --out gpu                                     8 minutes at most; again: what is missing
    python benchmarks/gpu.py --out gpu --bundle BUNDLE --image T2.nii.gz   prediction with networks of full size
    python benchmarks/gpu.py --out tiny --tiny                             goes through on a CPU and says nothing

Each part is written to `gpu.json` and `gpu.md` in the folder as soon as it is measured, so that a run that is cut short
loses one part. Ours and the published update run in turn on the same card, in float32 and in `precision: auto`. A
share of the peak is the operations of the published update, over the seconds, over what a large product of matrices
reaches on this card in the same type.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cyclegan
import numpy as np
import pix2pix
import singan
import torch
from timing import machine, seconds_of, wait
from torch.utils.flop_counter import FlopCounterMode

from training.config import CycleGANConfig, SamplingConfig, SinGANConfig
from training.data.reference_slice import GIVEN, Reference
from training.gan.devices import convolution_type
from training.harmonisers.singan import SinGANHarmoniser
from vestibule.device import pick_device
from vestibule.files import read_json, write_json, write_text
from vestibule.networks import GeneratorConfig
from vestibule.pipeline import load_model
from vestibule.volume import read_scan

Rows = list[dict[str, str]]
COLUMNS = ("part", "way", "result", "against the published", "share of the peak", "memory (GiB)")
MOST_MINUTES = 8.0


def main() -> None:
    """Measure what is not yet measured, as far as the time goes."""
    arguments = parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "gpu.json"
    found: dict[str, Rows] = read_json(kept) or {}
    begin = time.monotonic()
    for name, measure in parts_of(arguments).items():
        if name in found:
            continue
        if time.monotonic() - begin > 60 * arguments.minutes:
            print(f"{name}: not measured, the {arguments.minutes:g} minutes are over; run the command again")
            continue
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        found[name] = measure()
        write_json(kept, found, indent=1)
        write_text(arguments.out / "gpu.md", table(found) + "\n")
    print(machine())
    print(table(found))


def parts_of(arguments: argparse.Namespace) -> dict[str, Callable[[], Rows]]:
    """What is measured, in the order of its worth."""
    side = 32 if arguments.tiny else 256
    parts: dict[str, Callable[[], Rows]] = {}
    for batch in (1, 2) if arguments.tiny else (1, 8):
        parts[f"CycleGAN, {batch} x {side} x {side}"] = partial(of_cyclegan, batch, side, arguments)
        parts[f"pix2pix, {batch} x {side} x {side}"] = partial(of_pix2pix, batch, side, arguments)
    for size in (16,) if arguments.tiny else (25, 56, 126):
        parts[f"SinGAN, an iteration at {size} px"] = partial(of_singan, size, arguments)
    parts["SinGAN, the schedule `fast`"] = partial(of_schedule, arguments)
    if arguments.image:
        parts["prediction"] = partial(of_prediction, arguments)
    return parts


def of_cyclegan(batch: int, side: int, arguments: argparse.Namespace) -> Rows:
    """Seconds of a CycleGAN step on slices (batch, 1, side, side)."""
    width, blocks = (4, 1) if arguments.tiny else (64, 9)
    config = CycleGANConfig(
        generator=GeneratorConfig("resnet", width, blocks),
        discriminator_width=width,
        sampling=SamplingConfig(batch_size=batch),
    )
    own = argparse.Namespace(width=width, blocks=blocks, critic_width=width)
    steps = cyclegan.steps_of(own, config)
    source, target = slices(batch, side), slices(batch, side)
    choices = torch.rand(2, batch, 2)
    ways = {}
    for name, step in steps.items():
        ways[name] = (
            partial(step, source, target) if name == cyclegan.PUBLISHED else partial(step, source, target, choices)
        )
    return compared(ways, cyclegan.PUBLISHED, arguments)


def of_pix2pix(batch: int, side: int, arguments: argparse.Namespace) -> Rows:
    """Seconds of a pix2pix step on slices (batch, 1, side, side)."""
    width, blocks = (4, 3) if arguments.tiny else (64, 8)
    own = argparse.Namespace(architecture="unet", width=width, blocks=blocks, critic_width=width, steps=100)
    condition, real = slices(batch, side), slices(batch, side)
    ways = {name: partial(step, condition, real) for name, step in pix2pix.steps_of(own).items()}
    return compared(ways, pix2pix.PUBLISHED, arguments)


def of_singan(side: int, arguments: argparse.Namespace) -> Rows:
    """Seconds of a SinGAN iteration at a scale of `side` px, three steps of each network."""
    width, iterations = (4, 2) if arguments.tiny else (32, 20)
    dtypes = dict.fromkeys((torch.float32, convolution_type("auto", pick_device())))
    found = singan.seconds_at(side, width, arguments.repeats, iterations, dtypes)
    return rows_of(found, "published", "s an iteration")


def of_schedule(arguments: argparse.Namespace) -> Rows:
    """Seconds of a whole cascade by the schedule `fast` on a slice of noise."""
    side = 24 if arguments.tiny else 126
    config = SinGANConfig(iterations=5, coarsest_px=16, width=4) if arguments.tiny else SinGANConfig()
    image = np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)
    reference = Reference("noise", 0, GIVEN, image, np.zeros((side, side), bool))
    with tempfile.TemporaryDirectory() as folder:
        wait()
        begin = time.perf_counter()
        SinGANHarmoniser.fit(reference, config, Path(folder), 0, "auto")
        wait()
        seconds = time.perf_counter() - begin
    return [row("ours", f"{seconds:.1f} s for {side} px")]


def of_prediction(arguments: argparse.Namespace) -> Rows:
    """Seconds of loading a bundle, and of a case: the first one, and the fastest of those after it."""
    volume = read_scan(arguments.image)
    begin = time.perf_counter()
    model = load_model(arguments.bundle)
    loaded = time.perf_counter() - begin
    seconds = []
    for _ in range(1 + arguments.repeats):
        wait()
        begin = time.perf_counter()
        model.run(volume)
        wait()
        seconds.append(time.perf_counter() - begin)
    voxels = " x ".join(str(size) for size in volume.geometry.size_zyx)
    first, *others = seconds
    return [
        row("loading the bundle", f"{loaded:.1f} s"),
        row(f"the first case, {voxels}", f"{first:.1f} s"),
        row("a later case", f"{min(others):.1f} s"),
    ]


def compared(ways: dict[str, Callable[[], object]], published: str, arguments: argparse.Namespace) -> Rows:
    """Seconds of each way, with its share of the card's peak."""
    with FlopCounterMode(display=False) as counter:
        ways[published]()
    operations = counter.get_total_flops()
    found = seconds_of(ways, arguments.repeats)
    size = 128 if arguments.tiny else 8192
    shares = {}
    for name, seconds in found.items():
        dtype = torch.bfloat16 if "bf16" in name else torch.float32
        shares[name] = operations / seconds / peak(dtype, size)
    return rows_of(found, published, "s a step", shares)


def peak(dtype: torch.dtype, size: int) -> float:
    """Operations a second of a product of two square matrices."""
    device = pick_device()
    first = torch.randn(size, size, device=device, dtype=dtype)
    second = torch.randn(size, size, device=device, dtype=dtype)
    seconds = seconds_of({"product": lambda: first @ second}, 5)["product"]
    return 2 * size**3 / seconds


def rows_of(found: dict[str, float], published: str, unit: str, shares: dict[str, float] | None = None) -> Rows:
    """A row a way: seconds, how many times as fast as the published one, share of the peak."""
    rows = []
    for name, seconds in found.items():
        share = f"{shares[name]:.1%}" if shares else ""
        rows.append(row(name, f"{seconds:.4f} {unit}", f"{found[published] / seconds:.2f} x", share))
    return rows


def row(way: str, result: str, against: str = "", share: str = "") -> dict[str, str]:
    """A row of the table, with the most memory that its part has taken so far."""
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if torch.cuda.is_available() else ""
    return dict(zip(COLUMNS[1:], (way, result, against, share, memory), strict=True))


def table(found: dict[str, Rows]) -> str:
    """All parts as a table in Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for part, rows in found.items():
        for each in rows:
            cells = [part, *(each[column] for column in COLUMNS[1:])]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def slices(batch: int, side: int) -> torch.Tensor:
    """Noise (batch, 1, side, side) in [-1, 1] on the device."""
    return torch.rand(batch, 1, side, side, device=pick_device()) * 2 - 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json and gpu.md")
    parser.add_argument("--bundle", type=Path, default=Path("weights/phantom"), help="what predicts")
    parser.add_argument("--image", type=Path, help="a T2 volume to segment; without, no prediction is timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=MOST_MINUTES, help="after which no part is begun")
    parser.add_argument("--tiny", action="store_true", help="the smallest networks, to see that all goes through")
    return parser.parse_args()


if __name__ == "__main__":
    main()
