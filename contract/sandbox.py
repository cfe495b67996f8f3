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

from vestibule.errors import InputError

STRICT = (
    *("--pull", "never", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--pids-limit", "256", "--shm-size", "128m", "--memory", "4g", "--memory-swap", "4g", "--tmpfs", "/tmp"),
)
READ_ONLY = ("--read-only",)
LINKED_INPUT = "/vestibule-input"
"""Where the input lies while /input is a link."""
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

    @property
    def last_line(self) -> str:
        """The last line on stderr that is not empty, which is what the platform shows."""
        return next((line.strip() for line in reversed(self.errors.splitlines()) if line.strip()), "")

    @property
    def outcome(self) -> str:
        """How it ended, for a report."""
        if self.exit_code is None:
            return f"still running after {self.seconds:.0f} s"
        killed = ", killed (out of memory?)" if self.exit_code == 137 else ""
        return (
            f"exit code {self.exit_code}{killed} after {self.seconds:.1f} s, last on stderr: {self.last_line[:300]!r}"
        )


class Engine:
    """docker or podman."""

    def __init__(self, program: str | None = None) -> None:
        """`program` by name; by default $ENGINE, else docker, else podman. Raises InputError where none answers."""
        wanted = program or os.environ.get("ENGINE")
        self.program = wanted or next((name for name in ("docker", "podman") if shutil.which(name)), "")
        if not self.program or shutil.which(self.program) is None:
            raise InputError(f"{wanted or 'docker, podman'}: no such program; an image needs one of them to be checked")
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
        words = errors.strip().splitlines()
        return InputError(f"{self.program} {command}: {words[-1] if words else 'failed'}")

    def configuration(self, image: str) -> dict | None:
        """The image's configuration with the keys of an archive's, and its size; None where there is no such image."""
        result = self.call("image", "inspect", image, check=False)
        if result.returncode:
            return None
        found = json.loads(result.stdout)[0]
        names = {"architecture": "Architecture", "os": "Os", "config": "Config", "size": "Size"}
        return {key: found.get(name) for key, name in names.items()}

    @contextmanager
    def loaded(self, archive: Path) -> Iterator[str]:
        """The name of the image in `archive`, which is loaded, and removed afterwards if it was not there before."""
        before = set(self.call("images", "--quiet", "--no-trunc").stdout.split())
        lines = self.call("load", "--input", str(archive)).stdout.strip().splitlines()
        image = lines[-1].partition(": ")[2] if lines else ""
        if not image:
            raise InputError(f"{archive}: {self.program} loaded no image from it")
        identity = self.call("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
        try:
            yield image
        finally:
            if not any(known.endswith(identity.removeprefix("sha256:")) for known in before):
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
        """Run `image` once in the sandbox, with `input_dir` at `input_place`. The container is removed.

        `more` are further flags.
        """
        name = _new_name()
        command = [self.program, "run", "--name", name, *STRICT, *(READ_ONLY if read_only else ()), *more]
        command += [*_mounts(input_dir, output_dir, input_place), image]
        code, started = None, time.monotonic()
        with tempfile.TemporaryFile() as errors:
            try:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, timeout=time_limit_s,
                    check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                self.call("kill", name, check=False)
            seconds = time.monotonic() - started
            changes = self.call("diff", name, check=False).stdout.splitlines()
            self.call("rm", "--force", name, check=False)
            return Run(code, seconds, _tail(errors), tuple(line for line in changes if _is_outside(line)))

    def invoke(
        self, image: str, input_dir: Path, output_dir: Path, time_limit_s: float, input_place: str = "/input"
    ) -> Run:
        """Start `image` in the sandbox as a server, have it segment one job as the platform does, and end it.

        The exit code is 0 where /invoke answered 201. Raises InputError where this user may not enter its network.
        """
        if os.geteuid() or shutil.which("nsenter") is None:
            raise InputError("only root with nsenter can call a server that has no network")
        name, started = _new_name(), time.monotonic()
        flags = [*STRICT, *READ_ONLY, *_mounts(input_dir, output_dir, input_place)]
        self.call("run", "--detach", "--name", name, *flags, image)
        process_id = self.call("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
        client = ["nsenter", "--target", process_id, "--net", sys.executable, "-m", "vestibule.serve"]
        try:
            code = subprocess.run(client, capture_output=True, timeout=time_limit_s, check=False).returncode
        except subprocess.TimeoutExpired:
            code = None
        errors = self.call("logs", name, check=False).stderr[-_TAIL_BYTES:]
        self.call("rm", "--force", name, check=False)
        return Run(code, time.monotonic() - started, errors)


def _new_name() -> str:
    return f"vestibule-check-{os.getpid()}-{next(_numbers)}"


def _mounts(input_dir: Path, output_dir: Path, input_place: str = "/input") -> list[str]:
    return ["--volume", f"{input_dir.resolve()}:{input_place}:ro", "--volume", f"{output_dir.resolve()}:/output"]


def _archived_link() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("input")
        link.type, link.linkname = tarfile.SYMTYPE, LINKED_INPUT
        archive.addfile(link)
    return stream.getvalue()


def _tail(stream) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _TAIL_BYTES))
    return stream.read().decode(errors="replace")


def _is_outside(change: str) -> bool:
    """Whether a line of `diff` tells of a path that the platform does not offer for writing."""
    path = change.partition(" ")[2]
    return change[:1] in "AC" and not path.startswith(
        ("/tmp", "/output", "/input", "/dev", "/proc", "/sys", "/etc", "/run")
    )
