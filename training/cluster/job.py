"""What a job runs: one command of `vestibule train` in a process of its own, on whatever machine an engine gives it.

Imports neither torch nor submitit: the object that an engine pickles is made of this alone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.cluster.links import make_links
from training.run_folder import progress_of
from training.status import FAILED, fail, forget_failure, keep_lines, state_of
from vestibule.errors import InputError
from vestibule.stopping import die_with_parent

POLL_S = 0.2
END_WITHIN_S = 10.0
"""For a command that is to stop; it takes two seconds."""
LINES_KEPT = 5
"""Of a failed job's log, in the message of the engine."""
VAIN_TRIES = 3
"""How often in a row a job may reach its time limit without having kept anything new."""
STOPPED_CODES = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""How a command ends that was stopped and can go on."""


class JobFailedError(Exception):
    """The command of a job has failed; the message ends with the last lines of its log."""


@dataclass
class StageCall:
    """Makes a stage of a run, or a part of one. An engine calls it, and may ask it to stop and to begin again."""

    run_dir: Path
    stage: str
    part: str | None
    command: list[str]
    log: Path
    """Where all that the command says is added."""
    cpus: int
    hours: float
    """Its time limit."""
    links: tuple[tuple[Path, Path], ...] = ()
    progress: tuple[int, int] = (0, 0)
    """How far the stage had got when the limit was last reached."""
    vain_tries: int = 0
    """How often in a row the limit was reached since, and nothing more was kept."""
    _begin_s: float = field(default=0.0, repr=False, compare=False)
    _process: subprocess.Popen | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """Run the command to its end. Raises JobFailedError where it fails."""
        self._begin_s = time.monotonic()
        make_links(self.links)
        with contextlib.suppress(InputError):
            forget_failure(self.run_dir, self.stage, self.part)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment(),
                preexec_fn=_prepare_child(os.getpid()),
            )
            try:
                code = self._wait()
            except BaseException:
                self._stop()
                raise
        if code != 0:
            self._tell(code)

    def checkpoint(self, *_: Any, **__: Any) -> Any:
        """Stop the command, which goes on from its last checkpoint; the engine queues what is returned.

        Raises JobFailedError where the time limit does not suffice to keep anything.
        """
        self._stop()
        again = replace(self, _process=None)
        # Otherwise it was preempted, which may happen at any time.
        if self._has_reached_limit():
            again._note_progress()
        if again.vain_tries >= VAIN_TRIES:
            self._give_up()
        submission: Callable = importlib.import_module("submitit.helpers").DelayedSubmission
        return submission(again)

    def _has_reached_limit(self) -> bool:
        passed_s = time.monotonic() - self._begin_s
        # The signal comes a while before it, and the command began a while after the job.
        return passed_s > self.hours * 3600 / 2

    def _note_progress(self) -> None:
        reached = progress_of(self.run_dir / self.stage)
        is_further = any(now > before for now, before in zip(reached, self.progress, strict=True))
        self.vain_tries = 0 if is_further else self.vain_tries + 1
        self.progress = reached

    def _give_up(self) -> None:
        told = (
            f"{self.stage}: its time limit of {self.hours:g} h has struck {VAIN_TRIES} times without a new checkpoint; "
            "raise hours in the section resources"
        )
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{told}\n")
        with contextlib.suppress(InputError):
            fail(self.run_dir, self.stage, self.part, told, self.log)
            keep_lines(self.run_dir, self.stage, self.part, last_lines(self.log, LINES_KEPT))
        raise JobFailedError(told)

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        environment.setdefault("OMP_NUM_THREADS", str(self.cpus))
        # nnU-Net starts a dozen processes for augmentation, however few cores the job has. Where it trains without any,
        # on small machines, that stays so: the batches would be others.
        if (os.cpu_count() or 1) > 4:
            environment.setdefault("nnUNet_n_proc_DA", str(max(1, self.cpus - 1)))
        return environment

    def _wait(self) -> int:
        assert self._process is not None
        # Not by one long wait: a signal's handler asks for the same process.
        while True:
            code = self._process.poll()
            if code is not None:
                return code
            time.sleep(POLL_S)

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        deadline = time.monotonic() + END_WITHIN_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        with contextlib.suppress(OSError):
            process.kill()

    def _tell(self, code: int) -> None:
        """Leave the failure in the run's status, and raise it for the engine."""
        lines = last_lines(self.log, LINES_KEPT)
        # A full disk may be why it failed. The engine and the log tell it then.
        with contextlib.suppress(InputError):
            if code not in STOPPED_CODES:
                self._note_failure(code, lines)
        told = "\n".join(lines)
        raise JobFailedError(f"{self.stage}: exit code {code}; log: {self.log}\n{told}")

    def _note_failure(self, code: int, lines: list[str]) -> None:
        if state_of(self.run_dir, self.stage, self.part) != FAILED:
            # It could not do so itself, as when it was killed or refused before the stage began.
            last = lines[-1] if lines and code > 0 else f"ended with exit code {code}"
            if code < 0:
                last = f"killed by {signal.Signals(-code).name}"
            fail(self.run_dir, self.stage, self.part, last, self.log)
        keep_lines(self.run_dir, self.stage, self.part, lines)


def command_for(stage: str, part: str | None, run_dir: Path, config: Path, processes: int) -> list[str]:
    """The command line of a job.

    Args:
        stage: Name of the stage.
        part: Name of the part, where it makes one.
        run_dir: Folder of the run.
        config: Its configuration.
        processes: How many train together; 1: no `torchrun`.
    """
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    words = ["vestibule", "train", stage, "--config", str(config), "--run", str(run_dir)]
    if part is not None:
        words += ["--part", part]
    return [*start, *words]


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log that say anything; none where there is no log."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-count:]


def _prepare_child(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        # Slurm sends it to every process of a job; submitit alone answers it, and any other would die of it.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        die_with_parent(parent)

    return prepare
