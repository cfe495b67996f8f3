"""A container engine for the tests, on a bare Debian machine as root: Docker from packages, a base image, no registry.

    python tests/container/engine.py ./build.sh --help     runs a command with the engine up and takes it down after

It exits as the command does, or with 75 where no engine can run, with the reason on stderr. The command finds
DOCKER_HOST, `docker` of that engine first on PATH, and the base image in VESTIBULE_TEST_BASE.
Tests use an engine that is already there where VESTIBULE_TEST_BASE names a base image.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BASE_IMAGE = "localhost/base-python:bookworm"
BASE_VARIABLE = "VESTIBULE_TEST_BASE"
PACKAGES = {
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "pigz": "pigz",
    "igzip": "isal",
    "busybox": "busybox-static",
}
"""Program -> the Debian package that has it. igzip spares an export most of its time."""
APT_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
FREE_BYTES = 10 * 1024**3
START_SECONDS = 120
NO_ENGINE = 75
"""Exit code, apart from every one that tests end with."""
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


class EngineMissingError(RuntimeError):
    """No engine can run here; the message names the reason."""


class Engine:
    """A Docker daemon of one's own in a short folder, without networks but `none` and `host`."""

    def __init__(self, folder: Path) -> None:
        """`folder` must be short (it holds a socket) and is not removed here."""
        self.folder = folder
        self.host = f"unix://{folder}/d.sock"
        self.program = "docker"
        self._daemon: subprocess.Popen | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this engine, and the base image that it has."""
        return {
            **os.environ,
            "DOCKER_HOST": self.host,
            "DOCKER_BUILDKIT": "1",
            # The scripts fetch wheels with this Python's pip; Debian's own python3 may have none.
            "PATH": os.pathsep.join([f"{self.folder}/bin", str(Path(sys.executable).parent), os.environ["PATH"]]),
            BASE_VARIABLE: BASE_IMAGE,
        }

    def start(self) -> None:
        """Install what is missing, start the daemon, and try it out. Raises EngineMissingError with the reason."""
        _require(os.geteuid() == 0, "not root")
        _require(APT_SOURCES.is_file(), f"not a Debian machine with {APT_SOURCES}")
        free = shutil.disk_usage(self.folder).free
        _require(free >= FREE_BYTES, f"{free / 1e9:.1f} GB of disk free, {FREE_BYTES / 1e9:.1f} GB needed")
        _install_packages()
        self.program = find_client()
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "docker").symlink_to(self.program)
        places = ["--data-root", "data", "--exec-root", "exec", "--pidfile", "d.pid"]
        places[1::2] = [str(self.folder / name) for name in places[1::2]]
        networks = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
        with (self.folder / "d.log").open("wb") as log:
            command = ["dockerd", *networks, *places, "--host", self.host]
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._wait_until_up()
        limits = self("info", "--format", "{{.MemoryLimit}} {{.PidsLimit}}").stdout.split()
        _require(limits == ["true", "true"], f"the kernel offers no memory or pids limits ({limits})")
        self._try_out()

    def stop(self) -> None:
        """End the daemon by its own id, which ends its containers, and let go of what it had mounted."""
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._daemon.pid, signal.SIGKILL)
                self._daemon.wait()
            self._daemon = None
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((place for place in mounts if place.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)

    def make_base(self) -> str:
        """Make the base image: a plain Debian with python3 and nothing of torch. Returns its name.

        Raises EngineMissingError where Debian's packages cannot be had.
        """
        archive = self.folder / "base.tar"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        command += ["--aptopt=Acquire::Retries 3", "bookworm", str(archive), str(APT_SOURCES)]
        made = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        _require(made.returncode == 0, f"mmdebstrap made no base image: {''.join(made.stderr.splitlines()[-1:])}")
        self("import", str(archive), BASE_IMAGE)
        archive.unlink()
        return BASE_IMAGE

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker` with these arguments. Raises CalledProcessError where it fails and `check` is set."""
        command = [self.program, *arguments]
        return subprocess.run(command, env=self.environment, check=check, capture_output=True, text=True)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self("info", check=False).returncode:
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                last = (self.folder / "d.log").read_text(errors="replace").strip().splitlines()[-1:]
                raise EngineMissingError(f"dockerd is not up after {START_SECONDS} s: {''.join(last)}")
            time.sleep(0.25)

    def _try_out(self) -> None:
        image = "localhost/smoke:test"
        root = self.folder / "smoke"
        (root / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin" / "sh")
        packed = subprocess.run(["tar", "-C", str(root), "-c", "bin"], check=True, capture_output=True).stdout
        command = [self.program, "import", "-", image]
        subprocess.run(command, env=self.environment, input=packed, check=True, capture_output=True)
        result = self("run", "--rm", "--network", "none", image, "/bin/sh", "-c", "exit 7", check=False)
        _require(result.returncode == 7, f"a container that exits with 7 gave {result.returncode}: {result.stderr}")


@contextlib.contextmanager
def own_engine() -> Iterator[Engine]:
    """An engine that is up, and gone with all its images afterwards. Raises EngineMissingError with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="vst", dir="/tmp"))
    engine = Engine(folder)
    try:
        try:
            engine.start()
        except (subprocess.CalledProcessError, OSError) as error:
            raise EngineMissingError(f"{error}: {getattr(error, 'stderr', '')}") from error
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def find_client(places: tuple[str, ...] = ("/usr/bin", "/usr/sbin")) -> str:
    """The `docker` that came with the daemon, which another one, first on PATH, may not understand.

    Raises EngineMissingError where there is none at all.
    """
    daemon = shutil.which("dockerd")
    beside = [str(Path(daemon).resolve().parent)] if daemon else []
    found = next((path for place in (*places, *beside) if (path := shutil.which("docker", path=place))), None)
    found = found or shutil.which("docker")
    _require(found is not None, "no docker program beside dockerd")
    return found


def _require(met: bool, otherwise: str) -> None:
    if not met:
        raise EngineMissingError(otherwise)


def _install_packages() -> None:
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not missing:
        return
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run([*command, "update"], check=False, **quiet)
    subprocess.run([*command, "install", "-y", "--no-install-recommends", *missing], check=False, **quiet)
    still = [program for program in PACKAGES if shutil.which(program) is None]
    _require(not still, f"apt-get could not install {', '.join(still)}")


if __name__ == "__main__":
    # So that the engine is taken down where this is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with own_engine() as engine:
            engine.make_base()
            sys.exit(subprocess.run(sys.argv[1:] or ["bash"], env=engine.environment, check=False).returncode)
    except EngineMissingError as reason:
        print(f"no container engine: {reason}", file=sys.stderr)
        sys.exit(NO_ENGINE)
