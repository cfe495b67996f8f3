"""Commands that run in forked processes: everything is imported once, and each of them starts in milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.faults.clock import shift

CONFIG = Path(__file__).with_name("tiny.yaml")
LAST_LINE = "vestibule: error: "
TRACEBACK = 70
"""Exit code of a child that ended in a traceback."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that killed it."""
    errors: str
    """What it wrote to stderr."""
    seconds: float

    @property
    def is_clear(self) -> bool:
        """Whether it failed with one clear last line, and no traceback."""
        lines = self.errors.strip().splitlines()
        has_line = bool(lines) and lines[-1].startswith(LAST_LINE)
        return has_line and self.code not in (0, TRACEBACK) and "Traceback" not in self.errors

    @property
    def told(self) -> str:
        """The last line of stderr."""
        return (self.errors.strip().splitlines() or [f"nothing on stderr, exit code {self.code}"])[-1]


def warm_up() -> None:
    """Import what stages need, and let nnU-Net's pools be forked rather than start Python anew."""
    import matplotlib

    matplotlib.use("agg")
    from nnunetv2.training.logging.nnunet_logger import MetaLogger

    from training.stage_module import entry_of
    from training.stage_table import STAGES

    for stage in STAGES.values():
        entry_of(stage)
    by_name = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: by_name("fork")
    # A plot of the losses after every epoch takes longer than the epoch.
    MetaLogger.plot_progress_png = lambda self, folder: None


class Command:
    """A command of `vestibule`, running in a process of its own."""

    def __init__(self, *arguments: object, ahead_s: int = 0) -> None:
        """Start it; its clock is so many seconds ahead."""
        self._log = Path(f"{os.environ['FAULTS_WORK']}/stderr-{time.monotonic_ns()}")
        self._begin = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            if ahead_s:
                shift(ahead_s)
            _become(["vestibule", *map(str, arguments)], self._log)

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has ended by itself; it can still be waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, limit: float = 900) -> Ending:
        """How it ends. Raises TimeoutError where it does not within `limit` seconds."""
        deadline = time.monotonic() + limit
        while not self.has_ended():
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"still running after {limit} s")
            time.sleep(0.005)
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._begin
        errors = self._log.read_text(errors="replace") if self._log.is_file() else ""
        self._log.unlink(missing_ok=True)
        return Ending(os.waitstatus_to_exitcode(status), errors, seconds)


def _become(words: list[str], log: Path) -> None:
    """In the forked process: run the command, and leave without what the parent has yet to do at its end."""
    code = TRACEBACK
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        sys.argv = words
        from vestibule.cli import main

        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def stage_command(stage: str, run_dir: Path, ahead_s: int = 0) -> Command:
    """`vestibule train STAGE`, started; its clock is so many seconds ahead."""
    return Command("train", stage, "--config", CONFIG, "--run", run_dir, ahead_s=ahead_s)


def finish(stage: str, run_dir: Path, ahead_s: int = 0) -> Ending:
    """`vestibule train STAGE`, to its end."""
    return stage_command(stage, run_dir, ahead_s).wait()


def outputs_of(stage: str, run_dir: Path) -> dict[str, str]:
    """What a finished stage recorded of its outputs, without what names the time or the command."""
    from vestibule.files import read_json

    record = read_json(run_dir / stage / "stage.json")
    if record is None:
        return {}
    told = dict(record["outputs"])
    # A bundle tells when and by which command it was written.
    for name in list(told):
        if Path(name).name in ("manifest.json", "MODEL_CARD.md"):
            del told[name]
    return told


def copy_run(template: Path, target: Path, without: tuple[str, ...] = ()) -> Path:
    """A copy of a run, with the times of its files, without some stages' folders."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for entry in template.iterdir():
        if entry.name in without or entry.name.startswith("."):
            continue
        if entry.is_dir():
            shutil.copytree(entry, target / entry.name)
        else:
            shutil.copy2(entry, target / entry.name)
    return target


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Seconds since the block began."""
    begin = time.monotonic()
    yield lambda: time.monotonic() - begin
