"""Runs on a real Slurm, and by local processes: whatever happens to jobs, the weights are those of one process."""

import contextlib
import functools
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.commands import (
    CONFIG,
    Commands,
    is_at_rest,
    jobs_of,
    number_of,
    process_of,
    wait_until,
    weights_of,
)

pytestmark = pytest.mark.cluster
SEEDS = (0, 1)
SMALL_BYTES = 3_000_000
"""Of a disk that does not hold a run's checkpoints."""
LIMIT_MIN = 30
"""What `tiny.yaml` gives each job."""


@contextlib.contextmanager
def small_disk(folder):
    """A folder on a disk of its own, which is small; yields a function that makes room."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1G", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of each seed as one process makes it; a function that waits for the end of that of a seed.

    They go on beside the jobs.
    """
    folder = tmp_path_factory.mktemp("alone")
    command = Commands(os.environ)
    running = {}
    for seed in SEEDS:
        config = folder / f"seed_{seed}.yaml"
        config.write_text(f"{CONFIG.read_text()}seed: {seed}\n")
        running[seed] = command.start("run", "--config", config, "--run", folder / str(seed))

    # Both tests compare with the first.
    @functools.cache
    def made(seed):
        output, _ = running[seed].communicate()
        assert running[seed].returncode == 0, output
        return folder / str(seed)

    yield made
    for making in running.values():
        making.kill()
        making.wait()


def bring_near_to_its_limit(slurm, number):
    """Leave a running job a minute or two: Slurm, which looks every half minute, then signals it."""
    told = slurm("scontrol", "show", "job", number)
    hours, minutes = re.search(r"RunTime=(\d+):(\d+):", told).groups()
    limit_min = 60 * int(hours) + int(minutes) + 2
    slurm("scontrol", "update", f"JobId={number}", f"TimeLimit={limit_min}")


def test_graph_on_slurm_goes_through_every_fault_to_the_weights_of_one_process(slurm, alone, tmp_path, monkeypatch):
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm.environment[name])
    vestibule = Commands(slurm.environment)
    root = tmp_path / "runs"
    submit = ("submit", "--engine", "slurm", "--config", CONFIG, "--seed", 0, "--seed", 1, "--run", root)
    first, second = "tiny_seed_0", "tiny_seed_1"

    with small_disk(root / second) as make_room:
        # A node that is drained gets no job until it is back.
        slurm("scontrol", "update", f"NodeName={slurm.node}", "State=DRAIN", "Reason=test")
        assert "22 jobs submitted, 0 were in the queue already" in vestibule(*submit)
        jobs = jobs_of(root)
        assert (jobs[f"{first}/phantom"].state, jobs[f"{second}/phantom"].state) == ("waiting", "waiting")
        fold = f"{first}/segmenter/fold_1"
        assert jobs[fold].waits_for == (f"{first}/segmenter/plan",)
        # It is to be cancelled while it runs, after what comes before that below.
        slurm("scontrol", "hold", number_of(jobs[fold]))
        slurm("scontrol", "update", f"NodeName={slurm.node}", "State=RESUME")

        # A training hangs until its time limit strikes: it is queued again, and goes on.
        cyclegan = f"{first}/cyclegan"
        jobs = wait_until(root, lambda jobs: jobs[cyclegan].holder and jobs[cyclegan].queue)
        struck = number_of(jobs[cyclegan])
        os.kill(process_of(jobs[cyclegan]), signal.SIGSTOP)
        bring_near_to_its_limit(slurm, struck)

        # Another is killed.
        harmoniser = f"{first}/harmoniser"
        jobs = wait_until(root, lambda jobs: jobs[harmoniser].holder)
        os.kill(process_of(jobs[harmoniser]), signal.SIGKILL)

        # Its limit is the old one before anything else happens, so that it strikes once.
        wait_until(root, lambda jobs: "Restarts=1" in slurm("scontrol", "show", "job", struck))
        slurm("scontrol", "update", f"JobId={struck}", f"TimeLimit={LIMIT_MIN}")

        # A fold is cancelled, by its number in the queue.
        slurm("scontrol", "release", number_of(jobs[fold]))
        jobs = wait_until(root, lambda jobs: jobs[fold].holder and jobs[fold].queue)
        slurm("scancel", number_of(jobs[fold]))

        jobs = wait_until(root, is_at_rest)
        assert jobs[cyclegan].state == "done"
        assert "Restarts=1" in slurm("scontrol", "show", "job", struck)
        assert (jobs[harmoniser].state, jobs[harmoniser].error) == ("failed", "killed by SIGKILL")
        assert jobs[f"{first}/transfer"].state == "stopped"
        assert jobs[f"{first}/segmenter/fold_0"].state == "done"
        assert jobs[fold].state == "stopped"
        full = [job for name, job in jobs.items() if name.startswith(second) and job.state == "failed"]
        assert any("cannot be written" in job.error for job in full)
        assert "cannot be written" in Path(full[0].log).read_text()

        # The same command submits what is missing, and nothing else.
        make_room()
        missing = sum(job.state != "done" for job in jobs.values())
        assert f"{missing} jobs submitted, 0 were in the queue already" in vestibule(*submit)
        jobs = wait_until(root, is_at_rest)
        assert {name: (job.state, job.error) for name, job in jobs.items() if job.state != "done"} == {}
        assert "all 22 jobs are done" in vestibule(*submit)
        assert f"{first}/cyclegan" in vestibule("status", root)
        assert weights_of(root / first) == weights_of(alone(0))
        assert weights_of(root / second) == weights_of(alone(1))
        assert weights_of(root / first) != weights_of(root / second)


def test_graph_by_local_processes_has_the_weights_of_one_process(alone, tmp_path):
    vestibule = Commands(os.environ)
    root = tmp_path / "run"
    submit = ("submit", "--config", CONFIG, "--run", root, "--cpus", 2)
    # The command is stopped while jobs run, and given again.
    stopped = vestibule.start(*submit)
    wait_until(root, lambda jobs: jobs["tiny/prepare"].state == "done")
    stopped.send_signal(signal.SIGTERM)
    output, _ = stopped.communicate()
    assert stopped.returncode == 143, output
    assert "all 11 jobs are done" in vestibule(*submit)
    assert weights_of(root) == weights_of(alone(0))
