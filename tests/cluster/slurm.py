"""A Slurm for the tests, on a bare Debian machine as root: one node, from packages, without accounting or systemd.

    python tests/cluster/slurm.py sinfo     runs a command with Slurm up and takes it down after

It exits as the command does, or with 75 where no Slurm can run, with the reason on stderr. The command finds
SLURM_CONF. Tests use a Slurm that is already there where VESTIBULE_TEST_SLURM names its node.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

NODE_VARIABLE = "VESTIBULE_TEST_SLURM"
PACKAGES = {"slurmctld": "slurm-wlm", "munged": "munge"}
"""Program -> the Debian package that has it."""
PLACES = os.pathsep.join(["/usr/sbin", "/usr/bin", "/sbin", "/bin"])
CPUS = 3
"""Cores that the node says it has, whatever the machine has: more than two, so that none idles while a job begins."""
MEMORY_MB = 4000
START_SECONDS = 60
NO_SLURM = 75
"""Exit code, apart from every one that tests end with."""

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that is queued again may begin at once, not after the two minutes that credentials live by default.
AuthInfo=socket={folder}/munge/socket,cred_expire=10
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# What a container or a virtual machine without control groups can do.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# Without accounting, squeue is all that tells how a job has ended.
MinJobAge=3600
KillWait=15
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=1
# The node may say that it has more cores than the machine.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmMissingError(RuntimeError):
    """No Slurm can run here; the message names the reason."""


class Slurm:
    """A controller and one node, whose files are in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """`folder` must be short (it holds a socket) and is not removed here."""
        self.folder = folder
        self.node = socket.gethostname()
        self._daemons: list[subprocess.Popen] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this Slurm."""
        return {
            **os.environ,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join([os.environ["PATH"], PLACES]),
            NODE_VARIABLE: self.node,
        }

    def start(self) -> None:
        """Install what is missing and start all daemons. Raises SlurmMissingError with the reason."""
        _require(os.geteuid() == 0, "not root")
        _install_packages()
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir()
        self._start_munge()
        controller_port, node_port = _free_port(), _free_port()
        text = CONFIGURATION.format(
            host=self.node,
            folder=self.folder,
            controller_port=controller_port,
            node_port=node_port,
            cpus=CPUS,
            memory_mb=MEMORY_MB,
        )
        (self.folder / "slurm.conf").write_text(text)
        # In the foreground, so that each is ended by its own id.
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        self._wait_until_idle()

    def stop(self) -> None:
        """End all jobs, then the daemons, each by its own id."""
        with contextlib.suppress(OSError, subprocess.SubprocessError, SlurmMissingError):
            self("scancel", "--state=PENDING", "--user=root")
            self("scancel", "--full", "--signal=KILL", "--user=root")
            # Who ends a job's processes is gone with the daemons.
            _wait_for(lambda: not self("squeue", "--noheader").strip(), "jobs are still in the queue")
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def __call__(self, *command: str) -> str:
        """What one of Slurm's commands prints. Raises CalledProcessError where it fails."""
        done = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout

    def _start_munge(self) -> None:
        user = pwd.getpwnam("munge")
        home = self.folder / "munge"
        key = home / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for path in (home, key):
            os.chown(path, user.pw_uid, user.pw_gid)
        # Everybody may come to the socket.
        home.chmod(0o711)
        self.folder.chmod(0o755)
        files = ["--socket", "socket", "--pid-file", "pid", "--log-file", "log", "--seed-file", "seed"]
        files[1::2] = [str(home / name) for name in files[1::2]]
        self._daemon("munged", "--foreground", "--key-file", str(key), *files, user=user.pw_uid, group=user.pw_gid)
        _wait_for((home / "socket").exists, "munged has made no socket")

    def _daemon(self, program: str, *arguments: str, **kept: int) -> None:
        found = shutil.which(program, path=PLACES)
        log = (self.folder / f"{program}.out").open("wb")
        command = [found, *arguments]
        daemon = subprocess.Popen(
            command, env=self.environment, stdout=log, stderr=log, start_new_session=True, extra_groups=[], **kept
        )
        self._daemons.append(daemon)

    def _wait_until_idle(self) -> None:
        def is_idle() -> bool:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                return self("sinfo", "--noheader", "--format=%T").strip() == "idle"
            return False

        try:
            _wait_for(is_idle, "the node is not idle")
        except SlurmMissingError as error:
            last = (self.folder / "slurmctld.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise SlurmMissingError(f"{error}: {''.join(last)}") from error


@contextlib.contextmanager
def own_slurm() -> Iterator[Slurm]:
    """A Slurm that is up, and gone with all its jobs afterwards. Raises SlurmMissingError with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="vsl", dir="/tmp"))
    slurm = Slurm(folder)
    try:
        try:
            slurm.start()
        except (subprocess.SubprocessError, OSError, KeyError) as error:
            raise SlurmMissingError(f"{error}: {getattr(error, 'stderr', '')}") from error
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _require(met: bool, otherwise: str) -> None:
    if not met:
        raise SlurmMissingError(otherwise)


def _wait_for(is_met: object, otherwise: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_met():
        _require(time.monotonic() < deadline, f"{otherwise} after {START_SECONDS} s")
        time.sleep(0.25)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _install_packages() -> None:
    missing = [package for program, package in PACKAGES.items() if shutil.which(program, path=PLACES) is None]
    if not missing:
        return
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run([*command, "update"], check=False, **quiet)
    subprocess.run([*command, "install", "-y", "--no-install-recommends", *missing], check=False, **quiet)
    still = [program for program in PACKAGES if shutil.which(program, path=PLACES) is None]
    _require(not still, f"apt-get could not install {', '.join(still)}")


if __name__ == "__main__":
    # So that Slurm is taken down where this is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with own_slurm() as slurm:
            sys.exit(subprocess.run(sys.argv[1:] or ["bash"], env=slurm.environment, check=False).returncode)
    except SlurmMissingError as reason:
        print(f"no Slurm: {reason}", file=sys.stderr)
        sys.exit(NO_SLURM)
