"""The platform's adapter `sagemaker-shim` and a stand-in for its bucket, both from the package index, on the loopback.

On the platform the adapter lies in the image and is started in place of the image's own entry point. It fetches the
inputs of each task from the bucket, starts the entry point, calls it, and uploads what it wrote and a result.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
UV = "uv==0.13.9"
"""What installs them."""
BUCKET = "platform"
RESULT = ".sagemaker_shim/inference_result.json"
"""Under the prefix of a task: what became of it."""
SETUP = ".sagemaker_shim/runtime_setup_result.json"
"""Under the prefix of a run: whether the container started."""
SERVE_PORT = 8080
"""Where the adapter listens as a server; it cannot be changed."""
JSON = {"Content-Type": "application/json"}
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "Content-Type": "application/octet-stream",
}
"""A signature, which moto asks for and does not verify."""
INSTALL_SECONDS = 300
START_SECONDS = 900
END_SECONDS = 120
"""A server that is told to end while it starts ends when it has started."""
TASKS_SECONDS = 1800
PYTHON = (3, 12)
"""What the adapter runs on, and nothing else."""


class AdapterMissingError(RuntimeError):
    """The adapter cannot be had here; the message names the reason."""


def find_python() -> str:
    """A Python of the adapter's version. Raises AdapterMissingError where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [sys.executable, shutil.which("python3.12")]
    candidates += sorted(str(path) for path in pyenv.glob("versions/3.12.*/bin/python"))
    ask = "import sys; print(*sys.version_info[:2])"
    for candidate in candidates:
        if candidate is None:
            continue
        told = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        if told.stdout.split() == [str(number) for number in PYTHON]:
            return candidate
    raise AdapterMissingError("no Python 3.12, the only one that sagemaker-shim runs on")


def environment(folder: Path) -> Path:
    """The programs of an environment in `folder` that has the adapter; made where it is not there yet.

    Raises AdapterMissingError where it cannot be made.
    """
    stamp = folder / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    programs = folder / "bin"
    if stamp.is_file() and stamp.read_text() == wanted:
        return programs
    shutil.rmtree(folder, ignore_errors=True)
    python = str(programs / "python")
    commands = [
        [find_python(), "-m", "venv", str(folder)],
        # Of so many packages pip takes minutes where each answer of an index takes seconds.
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV],
        [python, "-m", "uv", "pip", "install", "--python", python, "--no-deps", "--requirements", str(REQUIREMENTS)],
    ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise AdapterMissingError(f"its packages were not installed within {INSTALL_SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            words = (error.stderr or error.stdout).strip().splitlines()
            raise AdapterMissingError(f"its packages cannot be installed: {''.join(words[-1:])}") from None
    stamp.write_text(wanted)
    return programs


class Bucket:
    """What the platform keeps its files in, with one bucket."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def put(self, key: str, content: bytes) -> None:
        """Store a file."""
        self._ask("PUT", f"/{BUCKET}/{key}", content)

    def put_folder(self, prefix: str, folder: Path) -> list[dict]:
        """Store all files of a folder. Returns them as a task lists its inputs."""
        inputs = []
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            place = path.relative_to(folder).as_posix()
            key = f"{prefix}/{place}"
            self.put(key, path.read_bytes())
            inputs.append({"relative_path": place, "bucket_name": BUCKET, "bucket_key": key})
        return inputs

    def get(self, key: str) -> bytes:
        """The content of a file."""
        return self._ask("GET", f"/{BUCKET}/{key}")

    def names(self, prefix: str) -> set[str]:
        """The files under a prefix, without it."""
        listed = self._ask("GET", f"/{BUCKET}?list-type=2&prefix={prefix}")
        root = ElementTree.fromstring(listed)
        keys = [element.text or "" for element in root.iter() if element.tag.endswith("}Key")]
        return {key.removeprefix(prefix) for key in keys}

    def fetch(self, prefix: str, folder: Path) -> Path:
        """The files under a prefix as files in a folder, but for what the adapter adds."""
        for name in self.names(prefix) - {RESULT}:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(f"{prefix}{name}"))
        return folder

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        return ask(method, self.address + path, content, SIGNED)


@contextlib.contextmanager
def running_bucket(programs: Path, log: Path) -> Iterator[Bucket]:
    """A bucket that is up, and gone afterwards with what it holds."""
    port = free_port()
    command = [str(programs / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        bucket = Bucket(port)
        wait_until_up(f"{bucket.address}/", server, log)
        ask("PUT", f"{bucket.address}/{BUCKET}", b"")
        yield bucket
    finally:
        server.kill()
        server.wait()


@dataclass
class Adapter:
    """The adapter for one container: a program, how it is called, and its folders."""

    programs: Path
    bucket: Bucket
    folder: Path
    """Of its own: it holds /input, /output and what else the container would have."""
    entry_point: list[str]
    api: str
    """The value of the image's label, `invoke` or `exec`."""
    environment: dict[str, str]
    """The image's own."""

    def prepare(self) -> dict[str, str]:
        """Make the folders. Returns the environment that the adapter is started in."""
        (self.folder / "output").mkdir(parents=True, exist_ok=True)
        entry_point = base64.b64encode(json.dumps(self.entry_point).encode()).decode()
        references = self.folder / "references"
        own = {
            "API_METHOD": self.api,
            "ENTRYPOINT_B64J": entry_point,
            "INPUT_PATH": self.folder / "input",
            "OUTPUT_PATH": self.folder / "output",
            "LINKED_INPUT_PARENT": self.folder / "data",
            "MODEL_DEST": self.folder / "model",
            "GROUND_TRUTH_DEST": references,
            "WRITABLE_DIRECTORIES": references,
            "POST_CLEAN_DIRECTORIES": references,
            # A server is asked for its health more often than on the platform, and a busy machine has more time.
            "HEALTH_CHECK_CALL_TIMEOUT_SECONDS": "2",
            "START_AND_HEALTH_TIMEOUT_SECONDS": str(START_SECONDS),
            "SIGTERM_GRACE_SECONDS": "60",
            "MAX_MEMORY_MB": "4096",
            "RUNTIME_OUTPUT_BUCKET_NAME": BUCKET,
            "RUNTIME_OUTPUT_PREFIX": f"setup/{self.folder.name}",
        }
        whole = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_S3_ENDPOINT_URL": self.bucket.address,
            "VESTIBULE_INPUT": str(self.folder / "input"),
            "VESTIBULE_OUTPUT": str(self.folder / "output"),
            "VESTIBULE_REFERENCES": str(references),
            **self.environment,
        }
        for name, value in own.items():
            whole[f"GRAND_CHALLENGE_COMPONENT_{name}"] = str(value)
        return whole

    def task(self, name: str, job: Path) -> dict:
        """A task whose inputs lie in the bucket and whose outputs go to the prefix NAME/."""
        inputs = self.bucket.put_folder(f"inputs/{name}", job)
        return {
            "pk": name,
            "inputs": inputs,
            "output_bucket_name": BUCKET,
            "output_prefix": f"outputs/{name}/",
            "timeout": "PT15M",
        }

    def run(self, tasks: list[dict]) -> subprocess.CompletedProcess[str]:
        """Have a list of tasks done, as a job of the platform is."""
        self.bucket.put("tasks.json", json.dumps(tasks).encode())
        command = [str(self.programs / "sagemaker-shim"), "invoke", "--file", f"s3://{BUCKET}/tasks.json"]
        environment = self.prepare()
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TASKS_SECONDS, check=False
        )

    @contextlib.contextmanager
    def serving(self, log: Path) -> Iterator[str]:
        """The adapter as a server, which is given one task after the other; the address for them."""
        command = [str(self.programs / "sagemaker-shim"), "serve"]
        environment = self.prepare()
        with log.open("wb") as output:
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        address = f"http://127.0.0.1:{SERVE_PORT}"
        try:
            wait_until_up(f"{address}/ping", server, log)
            yield f"{address}/invocations"
        finally:
            # It ends the container's process first.
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(END_SECONDS)
            finally:
                server.kill()

    def result(self, name: str) -> dict:
        """What the adapter told of a task."""
        return json.loads(self.bucket.get(f"outputs/{name}/{RESULT}"))

    def setup_result(self) -> dict:
        """What the adapter told of the container's start."""
        return json.loads(self.bucket.get(f"setup/{self.folder.name}/{SETUP}"))


def shown_to_user(log: str) -> list[str]:
    """The lines that came from the container's stderr, as the platform shows them."""
    lines = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("source") == "stderr" and not entry["internal"]:
            lines.append(entry["log"])
    return lines


def ask(method: str, address: str, content: bytes | None = None, headers: dict[str, str] = JSON) -> bytes:
    """The answer of a server on this machine. Raises URLError where it refuses."""
    request = urllib.request.Request(address, data=content, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TASKS_SECONDS) as answer:
        return answer.read()


def wait_until_up(address: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers. Raises RuntimeError with the end of its log where it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ask("GET", address)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{address} does not answer: {end}")
        time.sleep(0.1)


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_taken(port: int) -> bool:
    """Whether something on this machine listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
