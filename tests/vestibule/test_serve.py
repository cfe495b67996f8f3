"""The platform's invoke style: healthy once loaded, one job a request, and a failed job ends no server."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vestibule import client
from vestibule.client import call
from vestibule.errors import InputError
from vestibule.serve import make_server, serves
from vestibule.volume import Geometry, Volume, read_header, write_volume

GEOMETRY = Geometry((12, 40, 40), (1.5, 1.5, 1.5), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


@contextlib.contextmanager
def serving(invoke: Callable[[], None], report: Callable[[str], None] = print) -> Iterator[int]:
    server = make_server(invoke, report, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(port: int, path: str, method: str) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=b"{}" if method == "POST" else None
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_health_and_invoke_answer_as_the_platform_expects():
    jobs = []
    with serving(lambda: jobs.append(1)) as port:
        assert answer(port, "/health", "GET")[0] == 200
        assert answer(port, "/invoke", "POST")[0] == 201
        assert call(port) == 201
        assert answer(port, "/other", "GET")[0] == 404
        assert answer(port, "/other", "POST")[0] == 404
        assert answer(port, "/invoke", "GET")[0] == 405
    assert jobs == [1, 1]


def test_a_failed_job_names_its_cause_and_ends_no_server():
    told = []
    outcomes = iter([InputError("/input/a.mha: truncated"), KeyError("x"), None])

    def invoke() -> None:
        outcome = next(outcomes)
        if outcome:
            raise outcome

    with serving(invoke, told.append) as port:
        assert answer(port, "/invoke", "POST") == (500, {"error": "/input/a.mha: truncated"})
        status, content = answer(port, "/invoke", "POST")
        assert (status, "KeyError" in content["error"]) == (500, True)
        assert answer(port, "/invoke", "POST")[0] == 201
    assert told == ["/input/a.mha: truncated", "the job failed (KeyError: 'x')"]


def test_health_is_told_while_a_job_runs():
    running, end = threading.Event(), threading.Event()

    def invoke() -> None:
        running.set()
        end.wait(10)

    with serving(invoke) as port:
        job = threading.Thread(target=answer, args=(port, "/invoke", "POST"))
        job.start()
        assert running.wait(10)
        assert answer(port, "/health", "GET")[0] == 200
        end.set()
        job.join()


def test_second_job_waits_for_the_first_and_both_are_answered():
    begun, end = threading.Semaphore(0), threading.Event()
    running = []
    at_once = []

    def invoke() -> None:
        running.append(1)
        at_once.append(len(running))
        begun.release()
        end.wait(10)
        running.pop()

    with serving(invoke) as port:
        statuses = []
        callers = [threading.Thread(target=lambda: statuses.append(call(port))) for _ in range(2)]
        for caller in callers:
            caller.start()
        assert begun.acquire(timeout=10)
        # The second has been sent, and its job has not begun.
        assert not begun.acquire(timeout=0.5)
        end.set()
        for caller in callers:
            caller.join(10)
    assert statuses == [201, 201]
    assert at_once == [1, 1]


def test_text_of_the_client_runs_where_nothing_of_ours_is_installed(tmp_path):
    text = Path(client.__file__).read_text()
    with serving(lambda: None) as port:
        command = [sys.executable, "-I", "-S", "-c", text, "both", "30", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        health, invoked = done.stdout.splitlines()
        assert health.startswith("/health answered 200 after ")
        assert invoked == "/invoke answered 201"


def test_client_tells_an_unhealthy_server_from_a_failed_job(capsys):
    with serving(lambda: 1 / 0, lambda failure: None) as port:
        assert client.main("invoke", "1", str(port)) == 1
    assert client.main("health", "0", str(port)) == client.NOT_HEALTHY
    assert client.main("invoke", "0", str(port)) == 1
    failed, unhealthy, gone = capsys.readouterr().out.splitlines()
    assert failed == "/invoke answered 500"
    assert "is not healthy after 0 s" in unhealthy
    assert gone.startswith("/invoke was not answered")


def test_what_lies_in_the_input_tells_what_is_asked(tmp_path):
    def asked(*files: str) -> bool:
        folder = tmp_path / "input"
        shutil.rmtree(folder, ignore_errors=True)
        for file in files:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return serves("auto", folder)

    assert asked()
    assert asked("images/head-mri/a.mha")
    assert asked("inputs.json")
    assert asked(".hidden")
    assert not asked("crossmoda2021_ldn_1_hrT2.nii.gz")
    assert serves("invoke", tmp_path / "input")
    assert not serves("exec", tmp_path / "nothing")


@pytest.mark.slow
def test_process_serves_job_after_job_with_one_mask_in_the_output(tmp_path, tiny_bundle, repository):
    # On the platform's own port, which is what a container listens on.
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 4743)) == 0:
            pytest.skip("port 4743 is taken on this machine")
    images, output = tmp_path / "input" / "images" / "t2", tmp_path / "output"
    places = {"VESTIBULE_INPUT": str(tmp_path / "input"), "VESTIBULE_OUTPUT": str(output), "VESTIBULE_API": "invoke"}
    environment = {**os.environ, **places, "VESTIBULE_WEIGHTS": str(tiny_bundle)}
    errors = (tmp_path / "errors").open("w")
    server = subprocess.Popen([sys.executable, str(repository / "process.py")], env=environment, stderr=errors)
    try:
        for name in ("first", "second"):
            shutil.rmtree(images, ignore_errors=True)
            rows, columns = np.mgrid[:40, :40]
            head = ((rows - 20) ** 2 + (columns - 20) ** 2 < 300) * np.linspace(300, 400, 12)[:, None, None]
            write_volume(images / f"{name}.mha", Volume(head.astype(np.float32), GEOMETRY))
            assert call() == 201
            masks = list((output / "images").rglob("*.mha"))
            assert [mask.name for mask in masks] == [f"{name}.mha"]
            assert read_header(masks[0])[0] == GEOMETRY
        (images / "second.mha").write_text("no image")
        assert call() == 500
        last_line = (tmp_path / "errors").read_text().splitlines()[-1]
        assert last_line.startswith(f"vestibule: error: {images}/second.mha: ")
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        errors.close()


LONG_JOB = """
import sys, torch
from pathlib import Path
from vestibule.serve import serve

def invoke():
    Path(sys.argv[2]).touch()
    image, kernel = torch.rand(1, 8, 64, 64, 64), torch.rand(8, 8, 3, 3, 3)
    while True:
        torch.nn.functional.conv3d(image, kernel)

serve(invoke, print, "127.0.0.1", int(sys.argv[1]))
"""


def test_sigterm_in_the_middle_of_a_job_ends_without_an_error(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = tmp_path / "begun"
    server = subprocess.Popen([sys.executable, "-c", LONG_JOB, str(port), str(begun)], stderr=subprocess.PIPE)
    try:
        caller = threading.Thread(target=_call_quietly, args=(port,))
        caller.start()
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert begun.exists()
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=10)
        assert (server.returncode, errors) == (0, b"")
        caller.join(10)
    finally:
        server.kill()
        server.wait()


def _call_quietly(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        call(port)
