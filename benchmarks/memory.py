"""Memory of training does not grow with the number of cases: slices are read from memory-mapped volumes.

    python benchmarks/memory.py                 10 and 200 volumes of 40 x 192 x 192, 300 batches of 4 each

Prints what a process holds of its own after sampling (anonymous memory; pages of mapped files are the system's to drop)
and the time of a batch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BATCHES = 300


def main() -> None:
    """Sample in a fresh process for each number of cases, so that none inherits another's memory."""
    arguments = parse()
    if arguments.inside:
        sample(arguments.inside, arguments.cases[0])
        return
    for count in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--inside", folder, "--cases", str(count)]
            ended = subprocess.run(command, check=True, capture_output=True, text=True)
            print(ended.stdout.strip(), flush=True)


def sample(folder: Path, count: int) -> None:
    """Write `count` volumes, read 300 batches of them, and print memory and time."""
    from cyclegan import write_case

    from training.config import SamplingConfig
    from training.data.slices import SliceSampler, load_slices

    cases = [write_case(folder, number, 192) for number in range(count)]
    sampler = SliceSampler(cases, SamplingConfig(batch_size=4))
    generator = np.random.default_rng(0)
    # The first batch also opens files and imports what it needs.
    load_slices(sampler.sample(generator))

    before = own_mib()
    begin = time.perf_counter()
    for _ in range(BATCHES):
        load_slices(sampler.sample(generator))
    seconds = (time.perf_counter() - begin) / BATCHES
    grown = own_mib() - before
    print(f"{count:4d} cases: {own_mib():7.1f} MiB ({grown:+.1f} by {BATCHES} batches), {seconds * 1e3:.2f} ms a batch")


def own_mib() -> float:
    """Anonymous resident memory of this process, MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon")]
    _, kib, _ = line.split()
    return int(kib) / 1024


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 200])
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
