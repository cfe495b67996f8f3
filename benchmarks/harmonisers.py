"""Harmonisers that train nothing: CPU seconds a slice at each level, for slices of random intensities.

    python benchmarks/harmonisers.py                    a reference and slices of 64 px, the default crop
    python benchmarks/harmonisers.py --side 48 --repeats 5 --kind gpdm
    python benchmarks/harmonisers.py --run runs/x       all tumours of a run's T1 cases, by its first reference slice

They run on one thread, and its own time is told: what else the machine does hardly changes it. SinGAN trains before it
harmonises; `benchmarks/singan.py` times that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timing import machine, seconds_of

from training.config import TransferConfig
from training.data.reference_slice import GIVEN, Reference
from training.data.slices import read_cases
from training.harmoniser_table import HARMONISERS, harmoniser_class
from training.harmonisers.compositing import composite
from training.harmonisers.fitted import load_harmonisers
from training.run_folder import recorded_config
from training.stage_table import HARMONISER
from vestibule.editions import TUMOUR, get_edition

TRAINED = ("singan",)
"""Kinds that are not timed here."""
SLICES = 4
"""Slices in one call."""


def main() -> None:
    """Print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=64, help="pixels of the reference and of the slices")
    parser.add_argument("--repeats", type=int, default=3)
    timed = [kind for kind in HARMONISERS if kind not in TRAINED]
    parser.add_argument("--kind", action="append", choices=timed, help="may be given several times; by default all")
    parser.add_argument("--run", type=Path, help="a run whose harmoniser stage is done")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    for kind in arguments.kind or timed:
        if arguments.run:
            for level, seconds in seconds_of_run(kind, arguments.run):
                print(f"{kind}, level {level}, all tumours of {arguments.run}: {seconds:.1f} s", flush=True)
            continue
        found = seconds_at_levels(kind, arguments.side, arguments.repeats)
        listed = ", ".join(f"{level} {seconds:.3f} s" for level, seconds in found.items())
        print(f"{kind}, {arguments.side} px, a slice: {listed}", flush=True)


def seconds_at_levels(kind: str, side: int, repeats: int) -> dict[str, float]:
    """CPU seconds a slice of a kind with its default settings, by level; reference and slices are `side` px wide."""
    generator = np.random.default_rng(0)
    image = generator.uniform(-1, 1, (side, side)).astype(np.float32)
    slices = generator.uniform(-1, 1, (SLICES, side, side)).astype(np.float32)
    reference = Reference("random", 0, GIVEN, image, np.zeros(image.shape, dtype=bool))
    chosen = harmoniser_class(kind)
    with tempfile.TemporaryDirectory() as folder:
        harmoniser = chosen.fit(reference, chosen.Settings(), Path(folder), 0)

    noise = torch.Generator().manual_seed(0)
    ways = {}
    for level in harmoniser.levels:
        ways[f"level {level}"] = partial(harmoniser.apply, slices, level, noise)
    found = seconds_of(ways, repeats, time.process_time)
    return {name: seconds / SLICES for name, seconds in found.items()}


def seconds_of_run(kind: str, run_dir: Path) -> Iterator[tuple[int, float]]:
    """CPU seconds for copying and harmonising the tumours of all T1 cases of a run, once, for each level of a kind."""
    _, reference = load_harmonisers(run_dir)[0]
    chosen = harmoniser_class(kind)
    with tempfile.TemporaryDirectory() as folder:
        harmoniser = chosen.fit(reference, chosen.Settings(), Path(folder), 0)
    cases = read_cases(run_dir, "source")
    edition = get_edition(recorded_config(run_dir, HARMONISER)["edition"])
    settings = TransferConfig(intensity="none", rim_px=0.0)
    for level in harmoniser.levels:
        noise = torch.Generator().manual_seed(0)
        begin = time.process_time()
        for case in cases:
            source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
            mask = edition.mask_of(np.asarray(case.labels), TUMOUR)
            # What a copy lies in does not change the time.
            background = np.zeros_like(source)
            composite(source, mask, background, settings, None, harmoniser.at_level(level, noise))
        yield level, time.process_time() - begin


if __name__ == "__main__":
    main()
