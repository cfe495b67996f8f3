"""Commands of `vestibule train` as a user types them, and what they leave."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from training.cluster.status import read_jobs
from training.run_status import Job

CONFIG = Path(__file__).with_name("tiny.yaml")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 1500.0
"""For what takes a minute or two on two idle cores."""
POLL_S = 0.3


class Commands:
    """`vestibule train` in a process of its own, with one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Weights are those of as many threads.
        self._environment = {**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        # Otherwise each of a hundred processes compiles all modules anew.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def start(self, *arguments: object) -> subprocess.Popen:
        """A command that runs; its output is in `.stdout`."""
        command = [sys.executable, "-m", "vestibule", "train", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env=self._environment, text=True, **pipes)

    def __call__(self, *arguments: object) -> str:
        """What a command prints. Raises AssertionError where it fails."""
        running = self.start(*arguments)
        output, _ = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 0, output
        return output


def jobs_of(root: Path) -> dict[str, Job]:
    """The jobs of a submission by name, as `train status` tells them; none where it has not got so far."""
    return {job.name: job for job in read_jobs(root)}


def wait_until(root: Path, is_met: Callable[[dict[str, Job]], object]) -> dict[str, Job]:
    """The jobs of a submission once they are as it is waited for. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        jobs = jobs_of(root)
        if jobs and is_met(jobs):
            return jobs
        time.sleep(POLL_S)
    told = {name: (job.state, job.error) for name, job in jobs.items()}
    raise TimeoutError(f"not met within {PATIENCE_S} s: {told}")


def process_of(job: Job) -> int:
    """Number of the process that holds a running job."""
    return int(re.match(r"process (\d+) on ", job.holder)[1])


def number_of(job: Job) -> str:
    """What Slurm calls a job that runs or waits."""
    return job.queue.removeprefix("job ").partition(",")[0]


def is_at_rest(jobs: dict[str, Job]) -> bool:
    """Whether nothing runs or stands in the queue any more."""
    return all(job.state != "running" and job.queue is None for job in jobs.values())


def weights_of(run_dir: Path) -> dict[str, str]:
    """Hashes of all that the stages of a run have left, but for what names the time or the command."""
    told = {}
    for path in sorted(run_dir.glob("*/stage.json")):
        for name, sha256 in json.loads(path.read_text())["outputs"].items():
            if Path(name).name not in ("manifest.json", "MODEL_CARD.md"):
                told[f"{path.parent.name}/{name}"] = sha256
    return told
