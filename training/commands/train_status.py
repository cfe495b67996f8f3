"""The command `vestibule train status`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule.commands.options import json_option, write_result
from vestibule.progress import clock
from vestibule.terminal import table_console
from vestibule.text import shown

if TYPE_CHECKING:
    from rich.table import Table

    from training.run_status import Job

FILE_WIDTH = 200
"""Characters of a line where the output is no terminal."""
LOSSES_SHOWN = 3
IDLE_LOOKS = 3
"""Between two stages nothing is running for an instant."""


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option("--watch", is_flag=True, help="Show it anew until nothing is running or waiting any more; Ctrl-C ends.")
@click.option("--every", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Seconds between two looks.")
@json_option("how far the run is")
def status(run_dir: Path, watch: bool, every: float, json_path: Path | None) -> None:
    """Show what is done in RUN, what is running (step, time left, losses), waiting or failed, and why.

    A stage is running while a process holds its folder, on whatever machine: one that was killed is told as stopped.
    Where RUN was submitted, all jobs of the submission are told.
    """
    if watch and json_path is not None:
        raise click.UsageError("give either --watch or --json")
    if watch:
        _watch(run_dir, every)
        return
    jobs = read(run_dir)
    document = {"run": str(run_dir), "jobs": [asdict(job) for job in jobs]}
    if write_result(json_path, document):
        table_console(FILE_WIDTH).print(table_of(jobs))


def _watch(run_dir: Path, every_s: float) -> None:
    """A table that is alive on a terminal; elsewhere it is printed again whenever something in it has changed."""
    from rich.live import Live

    console = table_console(FILE_WIDTH)
    jobs = read(run_dir)
    with Live(table_of(jobs), console=console, auto_refresh=False) as live:
        idle = 0 if _is_going_on(jobs) else IDLE_LOOKS
        while idle < IDLE_LOOKS:
            time.sleep(every_s)
            before, jobs = jobs, read(run_dir)
            idle = 0 if _is_going_on(jobs) else idle + 1
            if console.is_terminal:
                live.update(table_of(jobs), refresh=True)
            elif jobs != before:
                console.print(table_of(before))
        live.update(table_of(jobs), refresh=True)


def read(run_dir: Path) -> list[Job]:
    """The jobs of a submission, or the stages of a run that nobody submitted."""
    from training.cluster.status import read_jobs
    from training.run_status import read_run

    return read_jobs(run_dir) or read_run(run_dir)


def _is_going_on(jobs: list[Job]) -> bool:
    """Whether anything of a run is being made or stands in a queue, so that there is something to wait for."""
    return any(job.state == "running" or job.queue is not None for job in jobs)


def table_of(jobs: list[Job]) -> Table:
    """A row for each stage and part."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("stage", "state", "what", box=SIMPLE_HEAD, pad_edge=False)
    for job in jobs:
        table.add_row(shown(job.name), job.state, shown(told(job)))
    return table


def told(job: Job) -> str:
    """What there is to say of a stage or part besides its state, in a line."""
    words = [job.error] if job.error else []
    words += _loop(job)
    if job.queue:
        words.append(job.queue)
    if job.holder:
        words.append(f"by {job.holder}")
    elif job.waits_for:
        words.append(f"for {', '.join(job.waits_for)}")
    elif job.seconds is not None:
        words.append(f"in {clock(job.seconds)}")
    if job.log and job.error:
        words.append(f"log: {job.log}")
    words += [f"warning: {warning}" for warning in job.warnings]
    return ", ".join(words)


def _loop(job: Job) -> list[str]:
    """How far the loop is that a job is in, and how well its training goes."""
    words = []
    if job.step is not None:
        step = f"{job.step} of {job.steps}" if job.steps is not None else f"{job.step}"
        words.append(f"{job.loop}: {step}")
    if job.left_s is not None:
        words.append(f"{clock(job.left_s)} left")
    for name, loss in list(job.losses.items())[:LOSSES_SHOWN]:
        words.append(f"{name} {loss:.4g}")
    return words
