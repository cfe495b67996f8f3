"""The platform's `invoke` style: an image is a server that is healthy in time and does one job after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.runs import ImageCheck, needs_network, note_sandbox
from contract.sandbox import Run, Server
from vestibule.client import HEALTH_SECONDS, PORT, REDIRECTED

HEALTH = "invoke: health"
"""The point of /health, which must answer 200 in time."""
REDIRECT = "invoke: no redirect"
"""The point of /health itself answering, not another address."""
ANSWER = "invoke: answers 201"
"""The point of what /invoke answers."""
FRESH = "invoke: fresh folders"
"""The point of a job whose /input and /output are new."""
SECOND = "invoke: second case"
"""The point of a job whose output is its own, and not an earlier job's."""
SECOND_REMEDY = "read /input anew at each /invoke, and keep nothing of an earlier job"


@dataclass
class CheckedServer:
    """A server under test, with the folders that its jobs go through."""

    check: ImageCheck
    contract: str
    server: Server
    input_dir: Path
    output_dir: Path
    jobs: int = 0
    """How many were done."""

    def do_job(self, what: str) -> bool:
        """Have it do the job that lies in its input. Notes what it answers; whether that was 201."""
        report = self.check.report
        self.check.announce(what)
        run = self.server.ask("invoke", self.check.time_limit_s)
        self.jobs += 1
        is_first = self.jobs == 1
        if run.exit_code == 0:
            # Each later one has folders that were emptied.
            report.passed(ANSWER if is_first else FRESH, f"{what}, {run.seconds:.1f} s")
            if is_first:
                report.passed(f"{self.contract}: runs", f"in the sandbox, {run.seconds:.1f} s")
                note_sandbox(report)
            return True
        if needs_network(report, run):
            return False
        if is_first:
            report.failed(ANSWER, run.outcome, "answer /invoke with 201 where the job was done, whatever it found")
        else:
            remedy = "make what is needed in /output at each /invoke: both folders are emptied between two jobs"
            report.failed(FRESH, f"job {self.jobs}: {run.outcome}", remedy)
        return False

    def renew(self) -> bool:
        """Empty both folders, as the platform does between two jobs. Whether that could be done."""
        try:
            for folder in (self.input_dir, self.output_dir):
                for path in folder.iterdir():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        except OSError as error:
            cause = f"what the image wrote cannot be removed ({error})"
            self.check.report.untested(FRESH, cause, "check the image as root, or with an engine of your own user")
            return False
        return True


@contextmanager
def serving(check: ImageCheck, contract: str, *flags: str) -> Iterator[CheckedServer | None]:
    """An image that was started as a server and is healthy; None where it is not, which is noted.

    Args:
        check: What is checked.
        contract: `platform` or `evaluation`, as points are called.
        flags: Further ones for the engine.
    """
    input_dir = check.scratch("jobs")
    output_dir = check.output()
    check.announce("its start as a server")
    with check.engine.serving(check.image, input_dir, output_dir, *flags) as server:
        limit_s = min(HEALTH_SECONDS, check.time_limit_s)
        run = server.ask("health", limit_s + 30, limit_s)
        if _note_health(check, run, limit_s):
            yield CheckedServer(check, contract, server, input_dir, output_dir)
        else:
            yield None


def _note_health(check: ImageCheck, run: Run, limit_s: float) -> bool:
    """Note what /health answered. Whether that was 200."""
    report = check.report
    if run.exit_code == REDIRECTED:
        report.failed(REDIRECT, run.outcome, "answer 200 at /health itself, the platform goes to no other address")
        return False
    if run.exit_code != 0:
        if not needs_network(report, run):
            remedy = f"listen on port {PORT} and answer /health with 200 within {limit_s:g} s"
            report.failed(HEALTH, run.outcome, remedy)
        return False
    report.passed(HEALTH, f"{run.answer} (a limit of {limit_s:g} s)")
    report.passed(REDIRECT, "/health answers itself")
    return True
