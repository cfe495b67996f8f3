"""How long a study of many runs takes on 1, 4 and 40 GPUs, simulated: every job begins as soon as it can, none is run.

    python benchmarks/makespan.py               every arm, 5 folds, 3 seeds with 6 trainings each
    python benchmarks/makespan.py --gpus 1 8    other numbers of GPUs

Times of stages are those that the bundle in weights/phantom records of the demo's run, on two cores; stages that it
lacks are taken for as long as the one that does the same work. Shares and ratios are what the table is for: a GPU makes
all stages faster, not all by as much.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from training.arms import ARMS
from training.cluster.graph import Graph, Run, build_graph
from training.cluster.makespan import makespan
from training.cluster.schedule import Machine
from training.config import AugmentConfig, ResourcesConfig, read_config
from training.stage_module import entry_of, parts_of
from training.stage_table import (
    AUGMENT,
    CYCLEGAN,
    DIRECT_SEGMENTER,
    HARMONISER,
    PHANTOM,
    PIX2PIX,
    PREPARE,
    SEGMENTER,
    SELF_TRAINING,
    STAGES,
    SUPERVISED,
    SYNTHESIS,
    TRANSFER,
)
from vestibule.files import read_json
from vestibule.progress import clock

ROOT = Path(__file__).resolve().parents[1]
SEEDS = 3
TRAININGS = 6
"""Of each seed: runs that differ in what their trainings sample."""
FORMER_NAMES = {HARMONISER.name: "singan"}
"""What a stage was called when the bundle was made."""
LIKE = {
    SYNTHESIS.name: TRANSFER.name,
    AUGMENT.name: TRANSFER.name,
    DIRECT_SEGMENTER.name: SEGMENTER.name,
    SUPERVISED.name: SEGMENTER.name,
    SELF_TRAINING.name: SEGMENTER.name,
}
"""Stage that the bundle lacks -> one that does the same work."""
ON_GPUS = (CYCLEGAN, HARMONISER, TRANSFER, PIX2PIX, SEGMENTER, SYNTHESIS, DIRECT_SEGMENTER, AUGMENT, SELF_TRAINING)
ON_CORES = (PHANTOM, PREPARE)


def main() -> None:
    """Plan the study, simulate it for each number of GPUs, and print the table."""
    arguments = parse()
    # A command imports them once, whatever it plans.
    for stage in STAGES.values():
        entry_of(stage)
    with tempfile.TemporaryDirectory() as folder:
        runs = study(Path(folder))
        begin = time.process_time()
        graph = build_graph(runs)
        planned_s = time.process_time() - begin
    seconds = times_of(graph)
    work_s = sum(seconds.values())
    print(f"{len(graph.jobs)} jobs, planned in {planned_s:.1f} s of processor time; {clock(work_s)} of work")
    print()
    print("| GPUs | time | times as fast as one | GPUs at work |")
    print("|---|---|---|---|")
    on_gpus_s = sum(seconds[name] for name, job in graph.jobs.items() if job.resources.gpus)
    alone_s = makespan(graph, Machine(1, 10_000), seconds)
    for gpus in arguments.gpus:
        taken_s = makespan(graph, Machine(gpus, 10_000), seconds)
        share = on_gpus_s / (gpus * taken_s)
        print(f"| {gpus} | {clock(taken_s)} | {alone_s / taken_s:.1f} | {share:.0%} |")


def study(folder: Path) -> list[Run]:
    """The runs of the study, each of all arms and five folds."""
    config = read_config(ROOT / "configs" / "phantom.yaml")
    gpu = ResourcesConfig(stages=tuple(stage.name for stage in (*ON_GPUS, SUPERVISED)), gpus=1, cpus=1)
    config = replace(
        config,
        arms=tuple(ARMS),
        default_arm=None,
        augment=AugmentConfig(),
        self_training=None,
        segmenter=replace(config.segmenter, folds=(0, 1, 2, 3, 4)),
        resources=(ResourcesConfig(cpus=1), gpu),
    )
    runs = []
    for seed in range(SEEDS * TRAININGS):
        name = f"seed_{seed}"
        runs.append(Run(name, replace(config, seed=seed), folder / name))
    return runs


def times_of(graph: Graph) -> dict[str, float]:
    """Seconds of each job, from the stages of the demo's run."""
    manifest = read_json(ROOT / "weights/phantom/manifest.json")
    recorded = manifest["provenance"]["stages"]
    seconds = {}
    for job in graph.jobs.values():
        name = LIKE.get(job.stage.name, job.stage.name)
        entry = recorded.get(name) or recorded.get(FORMER_NAMES.get(name, ""))
        parts = [part for layer in parts_of(job.stage, job.run.config) for part in layer]
        # The export, and what plans, finds masks or puts parts together, are over in no time.
        takes_long = any(part.trains for part in parts if part.name == job.part) if parts else True
        seconds[job.name] = entry["seconds"] if entry and takes_long else 0.0
    return seconds


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 4, 40], help="numbers of GPUs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
