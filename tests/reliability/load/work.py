"""Many cases through one prediction, in any order, and through the server with several requests at once."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from contract.cases import render_head
from tests.reliability.load.watched import Course, course_of, watch
from vestibule.client import invoke, wait_until_healthy
from vestibule.geometry import Geometry
from vestibule.volume import write_volume

ROOT = Path(__file__).resolve().parents[3]
DIFFERENT = 7
"""Images that differ; every case is one of them."""
# The platform's port is a constant, and another test may have a server of its own there.
ON_PORT = """
import functools, sys, process
process.serve = functools.partial(process.serve, port=int(sys.argv.pop(1)))
process.main(process.process)
"""
AT_ONCE = 8
"""Requests that a server gets at the same time."""


def write_images(folder: Path) -> list[Path]:
    """The images that differ, as small as the pipeline takes for heads."""
    images = []
    for number in range(DIFFERENT):
        geometry = Geometry(
            size_zyx=(8, 18 + number, 20),
            spacing_zyx=(6.0, 5.0, 5.0),
            origin_xyz=(-50.0, -45.0, -24.0),
            direction=(1, 0, 0, 0, 1, 0, 0, 0, 1),
        )
        path = folder / f"{number}.nii.gz"
        write_volume(path, render_head(geometry, np.random.default_rng(number)))
        images.append(path)
    return images


def write_cases(folder: Path, images: list[Path], count: int, seed: int) -> dict[str, int]:
    """Fill `folder` with cases; which image each one is, by case. The seed shuffles them."""
    folder.mkdir(parents=True)
    numbers = [case % DIFFERENT for case in range(count)]
    random.Random(seed).shuffle(numbers)
    chosen = {}
    for case, number in enumerate(numbers):
        name = f"case{case:05d}"
        os.link(images[number], folder / f"{name}_T2.nii.gz")
        chosen[name] = number
    return chosen


def predict(images: Path, masks: Path, bundle: Path, count: int, total: int | None = None) -> Course | None:
    """Segment a folder with the command; its course where `total` cases are enough to tell one.

    Raises RuntimeError where the command fails.
    """
    command = [sys.executable, "-m", "vestibule", "predict", str(images), str(masks), "--weights", str(bundle)]
    log = masks.with_suffix(".log")
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=stream, stderr=stream)
        samples = watch(process, lambda: _count(masks), lambda: False)
        code = process.wait()
    if code or _count(masks) != count:
        raise RuntimeError(f"exit code {code}, {_count(masks)} of {count} masks: {log.read_text()[-500:]}")
    return course_of(samples, total) if total else None


def digests(masks: Path, chosen: dict[str, int]) -> dict[int, set[str]]:
    """The sha256 sums of the masks of each image: more than one where a mask depends on its order."""
    found: dict[int, set[str]] = {}
    for case, number in chosen.items():
        content = (masks / f"{case}_Label.nii.gz").read_bytes()
        found.setdefault(number, set()).add(hashlib.sha256(content).hexdigest())
    return found


def serve(images: Path, masks: Path, bundle: Path, requests: int, with_course: bool) -> tuple[list[int], Course | None]:
    """Send a server `requests` requests for the same folder, `AT_ONCE` at a time: their answers, and the course."""
    port = _free_port()
    command = [sys.executable, "-c", ON_PORT, str(port), "--api", "invoke", "--weights", str(bundle)]
    command += ["--input", str(images), "--output", str(masks)]
    answers: list[int] = []
    left = iter(range(requests))
    lock = threading.Lock()

    def ask() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            status = invoke(port)
            with lock:
                answers.append(status)

    log = masks.with_suffix(".log")
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=stream, stderr=stream)
        try:
            _wait_until_healthy(process, port, log)
            clients = [threading.Thread(target=ask, daemon=True) for _ in range(AT_ONCE)]
            for client in clients:
                client.start()
            samples = watch(process, lambda: len(answers), lambda: not any(client.is_alive() for client in clients))
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
    if code:
        raise RuntimeError(f"the server ended with exit code {code}: {log.read_text()[-500:]}")
    return answers, course_of(samples, requests) if with_course else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            wait_until_healthy(port, limit_s=1.0)
            return
        except TimeoutError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no server: {log.read_text()[-500:]}") from error


def _count(masks: Path) -> int:
    if not masks.is_dir():
        return 0
    return sum(1 for entry in os.scandir(masks) if entry.name.endswith(".nii.gz") and not entry.name.startswith("."))


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
