"""The command `vestibule train submit`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.commands.data_options import data_options
from vestibule.logs import say
from vestibule.progress import clock
from vestibule.terminal import table_console
from vestibule.text import shown

if TYPE_CHECKING:
    from training.cluster.graph import Graph, Job

LOCAL, SLURM = "local", "slurm"
FILE_WIDTH = 200
"""Characters of a line where the output is no terminal."""


@click.command()
@click.option(
    "--config",
    "configs",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML configuration, or the name of an installed one. May be repeated: what several share is made once.",
)
@click.option("--seed", "seeds", type=int, multiple=True, help="In place of the configuration's. May be repeated.")
@click.option(
    "--run",
    "root",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run; of several configurations or seeds, the folder that holds theirs.",
)
@data_options
@click.option(
    "--engine", type=click.Choice([LOCAL, SLURM]), default=LOCAL, show_default=True, help="What runs the jobs."
)
@click.option("--dry-run", is_flag=True, help="Show the jobs, what each waits for and is given, and start none.")
@click.option(
    "--like",
    type=click.Path(path_type=Path),
    multiple=True,
    help="What is expected: an earlier run, or what `train rehearse --json FILE` wrote. May be repeated.",
)
@click.option("--gpus", type=click.IntRange(0), help="Of the engine local: GPUs to use.  [default: all]")
@click.option("--cpus", type=click.IntRange(1), help="Of the engine local: cores to use.  [default: all]")
def submit(
    configs: Sequence[Path],
    seeds: Sequence[int],
    root: Path,
    data: Path | None,
    folders: dict[str, str],
    engine: str,
    dry_run: bool,
    like: Sequence[Path],
    gpus: int | None,
    cpus: int | None,
) -> None:
    """Let an engine make every stage as a job of its own, folds and reference slices too, each once it can begin.

    The section `resources` of a configuration says what the jobs of each stage are given. What is done and unchanged is
    left out. A job that fails stops what needs it and nothing else; the same command submits what is missing.
    """
    from training.cluster.expected import expected_disk, expected_seconds, known_by
    from training.cluster.graph import build_graph
    from training.cluster.local import run_locally, this_machine
    from training.cluster.runs import make_ready, runs_of
    from training.cluster.slurm import submit_to_slurm

    if not dry_run:
        # Before anything is written; where it is missing, the command line names the extra that installs it.
        import submitit  # noqa: F401
    runs = runs_of(configs, seeds, root)
    if not dry_run:
        make_ready(runs, data, folders)
    graph = build_graph(runs)
    known = known_by(graph, like)
    seconds = expected_seconds(graph, known)
    if dry_run:
        _show(graph, seconds, expected_disk(graph, known))
        return
    if not graph.missing():
        say(f"{root}: all {len(graph.jobs)} jobs are done")
        return
    if engine == SLURM:
        submit_to_slurm(graph, root, say)
        say(f"follow it by: vestibule train status {root}")
        return
    machine = this_machine()
    if gpus is not None:
        machine.gpus = gpus
    if cpus is not None:
        machine.cpus = cpus
    run_locally(graph, root, machine, seconds, say)
    say(f"{root}: all {len(graph.jobs)} jobs are done")


def _show(graph: Graph, seconds: dict[str, float], disk: int) -> None:
    """Print the jobs and, below them, what they come to."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("job", "state", "waits for", "given", "takes", box=SIMPLE_HEAD, pad_edge=False)
    for job in graph.jobs.values():
        waits = graph.waits_for(job)
        state = "done" if job.is_done else "to do"
        table.add_row(shown(job.name), state, shown(_listed(waits)), _given(job), _takes(job, seconds))
    table_console(FILE_WIDTH).print(table)

    missing = graph.missing()
    say(f"{len(graph.jobs)} jobs, {len(graph.jobs) - len(missing)} of them done")
    known = [seconds[job.name] for job in missing if job.name in seconds]
    if known:
        say(f"{clock(sum(known))} of work are expected in {len(known)} of the {len(missing)} jobs that are to do")
    if disk:
        say(f"about {disk / 1e9:.2g} GB of disk are expected, as far as stages or their images are known")


def _listed(names: list[str]) -> str:
    """Names in a few words."""
    few = 3
    more = f" and {len(names) - few} more" if len(names) > few else ""
    return ", ".join(names[:few]) + more


def _given(job: Job) -> str:
    """A job's resources in words."""
    given = job.resources
    words = [f"{given.gpus} GPUs" if given.gpus != 1 else "1 GPU", f"{given.cpus} cores"]
    if given.memory_gb is not None:
        words.append(f"{given.memory_gb:g} GB")
    words.append(f"{given.hours:g} h")
    if given.partition:
        words.append(given.partition)
    return ", ".join([*words, *given.options])


def _takes(job: Job, seconds: dict[str, float]) -> str:
    return clock(seconds[job.name]) if job.name in seconds else ""
