"""SinGAN: iterations against the published update, and what quality costs in time for both of our schedules.

    python benchmarks/singan.py                                    seconds an iteration at 25, 56 and 126 px, and ratios
    python benchmarks/singan.py --whole 250                        every scale of the paper's schedule, and their sum
    python benchmarks/singan.py --curve runs/x --config configs/phantom.yaml --schedule fast      quality over time
    python benchmarks/singan.py --curve runs/x --config configs/phantom.yaml --schedule paper     the same; hours
    python benchmarks/singan.py --of runs/x                        the same measures of a run's own cascade

A curve's line is a whole training with that many iterations a scale on the reference slice of the run: its seconds, the
error of the reconstruction, the distance of random samples' patches to the slice's in each band of a Laplacian pyramid
(sliced Wasserstein, finest band first), how much random samples differ from each other as a share of the slice's own
spread (a model that has learnt the slice by heart scores well on patches and makes nothing new; samples that take the
coarsest scales from the slice share more, so that models can be compared where they differ alike), and how far the
slice injected at each scale comes out changed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from published import PublishedSinGAN
from timing import machine, seconds_of

from training.config import SCHEDULES, SinGANConfig, build, read_config, scheduled
from training.data.reference_slice import Reference
from training.diagnostics.patches import pyramid_distance
from training.gan.devices import convolution_type, layout_for, subnormals_as_zero
from training.gan.logs import LossLog
from training.harmonisers.singan import SinGANHarmoniser
from training.harmonisers.singan_network import SinGAN, channels, pyramid_sizes
from training.harmonisers.singan_training import LOSSES, train_scale
from training.stage_table import HARMONISER
from vestibule.pipeline import pick_device

SHARES = [0.05, 0.2, 0.5, 1.0]
SAMPLES = 8
BANDS = 3
STARTS = (0, 1, 2)
MEASURES = f"RMSE    {''.join(f'from {start}: patches, spread     ' for start in STARTS)}injected at 1, 2, ..."


@subnormals_as_zero()
def main() -> None:
    """Print the ratios, or the curve."""
    arguments = parse()
    print(machine())
    if arguments.of:
        folder = HARMONISER.folder(arguments.of)
        model, reference = SinGANHarmoniser.load(folder).model, Reference.load(folder)
        print(f"{reference.case}, slice {reference.slice}\n{MEASURES}\n{measures(model, reference.image)}")
        return
    if arguments.curve:
        settings = scheduled(read_config(arguments.config).harmoniser, arguments.schedule)
        curve(arguments.curve, settings, arguments.shares, arguments.precision)
        return
    if arguments.whole:
        whole(arguments.whole, arguments.repeats)
        return
    dtypes = dict.fromkeys((torch.float32, convolution_type("auto", pick_device())))
    for side in arguments.sides:
        found = seconds_at(side, arguments.width, arguments.repeats, 20, dtypes)
        print(f"{side:4d} px, width {arguments.width}: {_ratios(found)}", flush=True)


def whole(side: int, repeats: int) -> None:
    """Time an iteration of every scale of the paper's schedule for a slice of `side` px, and print its hours."""
    # A factor that leads from 25 to 250 px in the ten steps that the published code takes.
    config = build(SinGANConfig, {"schedule": "paper", "scale_factor": 0.793701}, "")
    sizes = pyramid_sizes((side, side), config)
    total: dict[str, float] = {}
    for (size, _), width in zip(sizes, channels(len(sizes), config), strict=True):
        found = seconds_at(size, width, repeats, 2, (convolution_type("auto", pick_device()),))
        print(f"{size:4d} px, width {width:3d}: {_ratios(found)}", flush=True)
        total = {name: total.get(name, 0.0) + seconds for name, seconds in found.items()}
    print(f"one iteration of all {len(sizes)} scales: {_ratios(total)}")
    hours = ", ".join(f"{name} {seconds * config.iterations / 3600:.1f} h" for name, seconds in total.items())
    print(f"{config.iterations} of them: {hours}, without the coarser scales' samples")


def seconds_at(side: int, width: int, repeats: int, iterations: int, dtypes: Iterable[torch.dtype]) -> dict[str, float]:
    """Seconds of an iteration (three steps of each network) at a scale of `side` px, published and ours in `dtypes`.

    Each timing is of so many `iterations`, behind which the networks are made anew.
    """
    torch.manual_seed(0)
    device = pick_device()
    real = torch.rand(1, 1, side, side, device=device) * 2 - 1
    published = PublishedSinGAN(real, width)
    published.generator.to(device), published.critic.to(device)
    config = SinGANConfig(width=width, iterations=iterations, discriminator_steps=3, generator_steps=3)
    with tempfile.TemporaryDirectory() as folder:
        log = LossLog(Path(folder), LOSSES)

        def run_published() -> None:
            for _ in range(iterations):
                published.epoch(torch.zeros_like(real))

        ways = {"published": run_published}
        for dtype in dtypes:
            name = str(dtype).removeprefix("torch.")
            ways[f"ours, {name}"] = partial(_train_anew, real, width, config, log, dtype)
        found = seconds_of(ways, repeats)
        log.close()
    return {name: seconds / iterations for name, seconds in found.items()}


def _train_anew(real: torch.Tensor, width: int, config: SinGANConfig, log: LossLog, dtype: torch.dtype) -> None:
    size = tuple(real.shape[-2:])
    model = SinGAN([size], [width], config.layers)
    model = model.to(real.device, memory_format=layout_for(dtype))
    train_scale(model, 0, real, config, log, dtype)


def _ratios(found: dict[str, float]) -> str:
    published = found["published"]
    return "; ".join(f"{name} {seconds:.3f} s, {published / seconds:.2f} x" for name, seconds in found.items())


def curve(run_dir: Path, config: SinGANConfig, shares: list[float], precision: str) -> None:
    """Train with a growing share of the schedule's iterations and print what each training reaches."""
    reference = Reference.load(HARMONISER.folder(run_dir))
    image = reference.image
    dtype = str(convolution_type(precision, pick_device())).removeprefix("torch.")
    print(f"schedule {config.schedule}, {image.shape[0]} x {image.shape[1]} px, convolutions in {dtype}")
    print(f"iterations  seconds  {MEASURES}")
    for share in shares:
        settings = replace(config, iterations=max(1, round(config.iterations * share)))
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            model = SinGANHarmoniser.fit(reference, settings, Path(folder), 0, precision).model
            seconds = time.perf_counter() - begin
        print(f"{settings.iterations:10d}  {seconds:7.1f}  {measures(model, image)}", flush=True)


@torch.no_grad()
def measures(model: SinGAN, image: np.ndarray) -> str:
    """A line of `MEASURES` of a trained cascade and the slice it has learnt, (Y, X) in [-1, 1]."""
    full = torch.from_numpy(image)[None, None].to(model.amplitudes.device)
    rebuilt = model.reconstruct(model.scales - 1)
    sampled = ""
    for start in STARTS:
        patches, spread = compared(model, image, start)
        sampled += _told(patches, spread)
    injected = []
    for scale in range(1, model.scales):
        changed = model.inject(full, scale)
        injected.append(f"{_rmse(changed, full):.3f}")
    return f"{_rmse(rebuilt, full):.4f}  {sampled}{' '.join(injected)}"


@torch.no_grad()
def compared(model: SinGAN, image: np.ndarray, start: int) -> tuple[list[float], float]:
    """Samples, random from scale `start` on: mean distance of their patches to those of `image` by band, and spread."""
    generator = torch.Generator().manual_seed(0)
    images = model.sample(SAMPLES, model.scales - 1, generator, start)  # (SAMPLES, 1, Y, X)
    samples = images[:, 0].cpu().numpy()
    found = []
    for sample in samples:
        # The same directions for each, so that samples differ and not the measure.
        found.append(pyramid_distance(sample, image, BANDS, np.random.default_rng(0)))
    spread = samples.std(axis=0).mean() / image.std()
    return np.mean(found, axis=0).tolist(), float(spread)


def _told(patches: list[float], spread: float) -> str:
    bands = " ".join(f"{value:.3f}" for value in patches)
    return f"{bands}  {spread:.2f}        "


def _rmse(one: torch.Tensor, other: torch.Tensor) -> float:
    error = (one - other).square().mean().sqrt()
    # As a share of the range from -1 to 1.
    return float(error) / 2


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[25, 56, 126])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--whole", type=int, metavar="SIDE", help="every scale of a slice of so many px")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--curve", type=Path, help="a run with a finished harmoniser stage, whose reference slice is taken"
    )
    parser.add_argument("--of", type=Path, help="a run with a finished harmoniser stage, whose cascade is measured")
    parser.add_argument(
        "--config", type=Path, default=Path("configs/phantom.yaml"), help="pyramid and weights of losses"
    )
    parser.add_argument("--schedule", choices=tuple(SCHEDULES), default="fast")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the schedule's iterations")
    parser.add_argument("--precision", default="auto", help="of the curve's trainings, as in the configuration")
    return parser.parse_args()


if __name__ == "__main__":
    main()
