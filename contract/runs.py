"""Runs of one image under test, and the points that every kind of run has."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.report import Report
from contract.sandbox import LINKED_INPUT, Engine, Run
from vestibule.editions import Edition
from vestibule.errors import InputError

LINKED = "linked input"
"""The point of an /input that is a link."""
_SAYS_NETWORK = re.compile(
    r"name resolution|name or service not known|network is unreachable|getaddrinfo|urlopen error|"
    r"connection refused|max retries exceeded|could not resolve|no route to host",
    re.IGNORECASE,
)


@dataclass
class ImageCheck:
    """One image under test, with what every run of it needs."""

    engine: Engine
    image: str
    edition: Edition
    report: Report
    folder: Path
    """Scratch: inputs and outputs of the runs."""
    time_limit_s: float
    announce: Callable[[str], None]

    def run(self, what: str, input_dir: Path, read_only: bool = True, *flags: str) -> tuple[Run, Path]:
        """Run the image once, as exec, with further flags; the folder that it wrote to comes with it."""
        self.announce(what)
        output = self.output()
        run = self.engine.run(self.image, input_dir, output, self.time_limit_s, read_only, *flags)
        return run, output

    def run_linked(self, what: str, input_dir: Path, method: str) -> tuple[Run, Path]:
        """Run the image once, called by `method`, with an /input that is a link.

        Raises InputError where that cannot be made.
        """
        self.announce(what)
        output = self.output()
        call = self.engine.invoke if method == "invoke" else self.engine.run
        with self.engine.with_linked_input(self.image) as linked:
            run = call(linked, input_dir, output, self.time_limit_s, input_place=LINKED_INPUT)
        return run, output

    def scratch(self, name: str) -> Path:
        """An empty folder of this name that any user can read."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def output(self) -> Path:
        """An empty folder that any user can write to: the image's is not this machine's."""
        output = Path(tempfile.mkdtemp(prefix="output", dir=self.folder))
        output.chmod(0o777)
        return output


def check_run(check: ImageCheck, contract: str, run: Run, input_dir: Path, *flags: str) -> bool:
    """Note whether the strict run succeeded; where not, find out which restriction it could not bear."""
    report = check.report
    point = f"{contract}: runs"
    if run.exit_code == 0:
        report.passed(point, f"in the sandbox, {run.seconds:.1f} s")
        note_sandbox(report)
        return True
    if run.exit_code is None:
        report.failed(point, run.outcome, "make it faster, or give it longer with --time-limit")
        return False
    if needs_network(report, run):
        return False

    relaxed, _ = check.run("the same with a root file system that can be written to", input_dir, False, *flags)
    if relaxed.exit_code == 0:
        # A line of changes is a letter and a path.
        paths = [line.partition(" ")[2] for line in relaxed.changed[-3:]]
        written = ", ".join(paths) or "its own file system"
        report.failed(
            "writes inside",
            f"writes to {written}",
            "write to /output and /tmp alone",
        )
        return False
    by_hand = "run it by hand with the sandbox's flags, see docs/how-to/container.md"
    report.failed(point, run.outcome, by_hand)
    return False


def needs_network(report: Report, run: Run) -> bool:
    """Whether a run failed for want of a network, by what it wrote to stderr, which is then noted."""
    if _SAYS_NETWORK.search(run.errors) is None:
        return False
    remedy = "put everything that is downloaded into the image; the platform has no network"
    report.failed("no network", run.outcome, remedy)
    return True


def note_sandbox(report: Report) -> None:
    """Note, once, what a run in the sandbox that succeeded shows."""
    if report.status_of("no network") is None:
        report.passed("no network", "runs without one")
        report.passed("writes inside", "only /output and /tmp are written to")


def check_linked_input(check: ImageCheck, input_dir: Path, method: str = "exec") -> None:
    """Whether an /input that is a link is read, as it is one on the platform."""
    try:
        run, output = check.run_linked("an /input that is a link", input_dir, method)
    except InputError as error:
        check.report.untested(LINKED, str(error), "make no /input in the image: it is mounted")
        return
    written = [path for path in output.rglob("*") if path.is_file()]
    problems = []
    if run.exit_code != 0:
        problems.append(run.outcome)
    if not written:
        problems.append("nothing was written")
    check.report.judge(
        LINKED,
        problems,
        "an /input that is a link is read",
        "open what lies in /input by its path, and do not ask whether /input itself is a folder or a link",
    )
