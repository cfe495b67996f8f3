"""Running an image with docker or podman, as strictly as the platform does and a little more."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vestibule import client
from vestibule.errors import InputError

STRICT = (
    "--pull=never",
    "--network=none",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=256",
    "--shm-size=128m",
    "--memory=4g",
    "--memory-swap=4g",
    "--tmpfs=/tmp",
)
"""What every run is held to."""
READ_ONLY = ("--read-only",)
LINKED_INPUT = "/vestibule-input"
"""Where the input lies while /input is a link."""
OFFERED = ("/tmp", "/output", "/input", "/dev", "/proc", "/sys", "/etc", "/run")
"""Where a run may write, or the engine itself does."""
OUT_OF_MEMORY = 137
"""Exit code of a process that was killed, as for want of memory."""
_TAIL_BYTES = 64 << 10
_numbers = itertools.count()


@dataclass(frozen=True)
class Run:
    """One run of an image."""

    exit_code: int | None
    """None where it was ended because its time was over."""
    seconds: float
    errors: str
    """The end of what it wrote to stderr."""
    changed: tuple[str, ...] = ()
    """Paths that it changed in its own file system, outside its mounts."""
    answer: str = ""
    """What the client told of a server's answers, a line each."""

    @property
    def last_line(self) -> str:
        """The last line on stderr that is not empty, which is what the platform shows."""
        for line in reversed(self.errors.splitlines()):
            if line.strip():
                return line.strip()
        return ""

    @property
    def outcome(self) -> str:
        """How it ended, for a report."""
        if self.exit_code is None:
            return f"still running after {self.seconds:.0f} s"
        if self.answer:
            answers = "; ".join(self.answer.splitlines())
            return f"{answers}, last on stderr: {self.last_line[:300]!r}"
        killed = ", killed (out of memory?)" if self.exit_code == OUT_OF_MEMORY else ""
        ended = f"exit code {self.exit_code}{killed} after {self.seconds:.1f} s"
        return f"{ended}, last on stderr: {self.last_line[:300]!r}"


class Engine:
    """docker or podman."""

    def __init__(self, program: str | None = None) -> None:
        """`program` by name; by default $ENGINE, else docker, else podman. Raises InputError where none answers."""
        wanted = program or os.environ.get("ENGINE")
        candidates = [wanted] if wanted else ["docker", "podman"]
        present = [name for name in candidates if shutil.which(name)]
        if not present:
            raise InputError(f"{', '.join(candidates)}: no such program; an image needs one of them to be checked")
        self.program = present[0]
        if self.call("info", check=False).returncode:
            raise InputError(f"{self.program}: does not answer; start it, or name another with --engine")

    def call(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the program with `arguments`. Raises InputError with its last words where it fails and `check` is set."""
        command = [self.program, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if check and result.returncode:
            raise self._error(arguments[0], result.stderr)
        return result

    def _error(self, command: str, errors: str) -> InputError:
        """What to raise where a command of the program failed."""
        words = errors.strip().splitlines()
        cause = words[-1] if words else "failed"
        return InputError(f"{self.program} {command}: {cause}")

    def configuration(self, image: str) -> dict | None:
        """The image's configuration with the keys of an archive's, and its size; None where there is no such image."""
        result = self.call("image", "inspect", image, check=False)
        if result.returncode:
            return None
        # One for each name that was asked for.
        found = json.loads(result.stdout)[0]
        return {
            "architecture": found.get("Architecture"),
            "os": found.get("Os"),
            "config": found.get("Config"),
            "size": found.get("Size"),
        }

    @contextmanager
    def loaded(self, archive: Path) -> Iterator[str]:
        """The name of the image in `archive`, which is loaded, and removed afterwards if it was not there before."""
        before = self.call("images", "--quiet", "--no-trunc").stdout.split()
        told = self.call("load", "--input", str(archive)).stdout.strip()
        # The last line is `Loaded image: NAME`, or `Loaded image ID: sha256:...`.
        last_line = told.splitlines()[-1] if told else ""
        image = last_line.partition(": ")[2]
        if not image:
            raise InputError(f"{archive}: {self.program} loaded no image from it")
        told_id = self.call("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
        identity = told_id.removeprefix("sha256:")
        was_there = any(known.endswith(identity) for known in before)
        try:
            yield image
        finally:
            if not was_there:
                self.call("rmi", "--force", image, check=False)

    @contextmanager
    def with_linked_input(self, image: str) -> Iterator[str]:
        """The name of a copy of `image` whose /input is a link to LINKED_INPUT. Nothing of the image is run for it.

        Raises InputError where that cannot be made, as where the image has a folder /input of its own.
        """
        name = _new_name()
        linked = f"localhost/{name}:linked"
        self.call("create", "--network", "none", "--name", name, image)
        try:
            # As an archive: from a file of this machine, the engines copy either the link or what it leads to.
            command = [self.program, "cp", "-", f"{name}:/"]
            copied = subprocess.run(command, input=_archived_link(), capture_output=True, check=False)
            if copied.returncode:
                raise self._error("cp", copied.stderr.decode(errors="replace"))
            self.call("commit", name, linked)
        finally:
            self.call("rm", "--force", name, check=False)
        try:
            yield linked
        finally:
            self.call("rmi", "--force", linked, check=False)

    def run(
        self,
        image: str,
        input_dir: Path,
        output_dir: Path,
        time_limit_s: float,
        read_only: bool = True,
        *more: str,
        input_place: str = "/input",
    ) -> Run:
        """Run an image once in the sandbox. The container is removed.

        Args:
            image: Its name.
            input_dir: What it may read.
            output_dir: What it may write to, at /output.
            time_limit_s: It is ended after so long.
            read_only: Whether its own file system is.
            more: Further flags.
            input_place: Where `input_dir` is mounted.

        Returns:
            What became of it.
        """
        name = _new_name()
        command = [self.program, "run", "--name", name, *STRICT]
        if read_only:
            command += READ_ONLY
        command += more
        command += _mounts(input_dir, output_dir, input_place)
        command.append(image)

        code: int | None = None
        started = time.monotonic()
        # Into a file: what a run writes without end must not fill this process's memory.
        with tempfile.TemporaryFile() as errors:
            try:
                finished = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    timeout=time_limit_s,
                    check=False,
                )
                code = finished.returncode
            except subprocess.TimeoutExpired:
                self.call("kill", name, check=False)
            seconds = time.monotonic() - started
            told = _tail(errors)
        changes = self.call("diff", name, check=False).stdout.splitlines()
        self.call("rm", "--force", name, check=False)
        outside = [line for line in changes if _is_outside(line)]
        return Run(code, seconds, told, tuple(outside))

    def ask(self, image: str, program: str, time_limit_s: float) -> str:
        """What a line of Python prints in an image, in the sandbox without input and output; empty where it fails.

        Args:
            image: Its name.
            program: The line.
            time_limit_s: It is ended after so long.
        """
        name = _new_name()
        flags = ("run", "--name", name, *STRICT, *READ_ONLY, "--entrypoint", "python3")
        command = [self.program, *flags, image, "-c", program]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=time_limit_s)
            answer = done.stdout if done.returncode == 0 else ""
        except subprocess.TimeoutExpired:
            self.call("kill", name, check=False)
            answer = ""
        self.call("rm", "--force", name, check=False)
        return answer[:_TAIL_BYTES]

    def invoke(
        self, image: str, input_dir: Path, output_dir: Path, time_limit_s: float, input_place: str = "/input"
    ) -> Run:
        """Start an image in the sandbox as a server, have it segment one job as the platform does, and end it.

        Args:
            image: Its name.
            input_dir: The job.
            output_dir: What it may write to, at /output.
            time_limit_s: It is ended after so long.
            input_place: Where `input_dir` is mounted.

        Returns:
            What became of it; the exit code is 0 where /invoke answered 201.
        """
        with self.serving(image, input_dir, output_dir, input_place=input_place) as server:
            return server.ask("both", time_limit_s)

    @contextmanager
    def serving(
        self, image: str, input_dir: Path, output_dir: Path, *more: str, input_place: str = "/input"
    ) -> Iterator[Server]:
        """An image that was started in the sandbox, to be called as a server; it is ended and removed afterwards.

        Args:
            image: Its name.
            input_dir: Where the jobs will lie; it cannot write there.
            output_dir: What it may write to, at /output.
            more: Further flags.
            input_place: Where `input_dir` is mounted.
        """
        name = _new_name()
        mounts = _mounts(input_dir, output_dir, input_place)
        self.call("run", "--detach", "--name", name, *STRICT, *READ_ONLY, *more, *mounts, image)
        try:
            yield Server(self, name)
        finally:
            self.call("rm", "--force", name, check=False)

    def client_of(self, container: str) -> list[str]:
        """The command that calls a server which has no network but its own; `vestibule.client` tells its words."""
        if os.geteuid() == 0 and shutil.which("nsenter") is not None:
            process_id = self.call("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
            # It runs on this machine, in the network of the container, which leads nowhere else.
            return ["nsenter", "--target", process_id, "--net", sys.executable, "-m", "vestibule.client"]
        # Other users may not enter it, so that the image's own Python must do.
        program = Path(client.__file__).read_text(encoding="utf-8")
        return [self.program, "exec", container, "python3", "-c", program]


@dataclass(frozen=True)
class Server:
    """An image that was started in the sandbox, with no network but its own."""

    engine: Engine
    container: str

    def ask(self, what: str, time_limit_s: float, health_limit_s: float = client.HEALTH_SECONDS) -> Run:
        """Have `vestibule.client` call it.

        Args:
            what: `health`, `invoke` or `both`.
            time_limit_s: The call is ended after so long.
            health_limit_s: How long it may take until it is healthy.

        Returns:
            What became of the call, with the client's exit code, and with what the image wrote to stderr so far.
        """
        started = time.monotonic()
        code: int | None = None
        answer = ""
        command = [*self.engine.client_of(self.container), what, f"{health_limit_s:g}"]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, timeout=time_limit_s, check=False)
            code = finished.returncode
            answer = finished.stdout.strip()
        except subprocess.TimeoutExpired:
            pass
        seconds = time.monotonic() - started
        errors = self.engine.call("logs", self.container, check=False).stderr[-_TAIL_BYTES:]
        return Run(code, seconds, errors, answer=answer)


def _new_name() -> str:
    """A name for a container that no other of this machine has."""
    return f"vestibule-check-{os.getpid()}-{next(_numbers)}"


def _mounts(input_dir: Path, output_dir: Path, input_place: str) -> list[str]:
    """Flags that mount both folders."""
    return [
        "--volume",
        f"{input_dir.resolve()}:{input_place}:ro",
        "--volume",
        f"{output_dir.resolve()}:/output",
    ]


def _archived_link() -> bytes:
    """A tar archive that holds /input as a link, and nothing else."""
    link = tarfile.TarInfo("input")
    link.type = tarfile.SYMTYPE
    link.linkname = LINKED_INPUT
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(link)
    return stream.getvalue()


def _tail(stream: IO[bytes]) -> str:
    """The end of what was written to a file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _TAIL_BYTES))
    return stream.read().decode(errors="replace")


def _is_outside(change: str) -> bool:
    """Whether a line of `diff` tells of a path that the platform does not offer for writing."""
    kind, _, path = change.partition(" ")
    # A for added, C for changed; what was removed, D, was written nowhere.
    return kind in ("A", "C") and not path.startswith(OFFERED)
