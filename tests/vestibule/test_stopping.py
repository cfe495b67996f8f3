"""Signals, sent to commands that run as processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

LOOPING = "ready(); time.sleep(60)"
# No other instruction of Python's runs meanwhile, so that no signal reaches the main thread.
COMPUTING = "ready(); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
WAITING = """
worker = multiprocessing.Process(target=time.sleep, args=(60,))
worker.start()
ready(worker.pid)
worker.join()
"""
WRITING = """
from vestibule.files import atomic
with atomic(Path(sys.argv[1])) as partial:
    partial.write_text('half')
    ready()
    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
"""
PROGRAM = """
import hashlib, multiprocessing, sys, time
from pathlib import Path
import click
from vestibule.cli import main
from vestibule.stopping import telling

def ready(number=0):
    print(number, flush=True)

@click.command()
@click.argument("out")
def command(out):
    with telling(lambda: "the state is kept"):
        {body}

main(command)
"""


def started(tmp_path, body):
    """A running command, and the number that it printed once it was ready."""
    indented = body.strip().replace("\n", "\n        ")
    program = tmp_path / "vestibule"
    program.write_text(PROGRAM.format(body=indented))
    command = [sys.executable, str(program), str(tmp_path / "o ut")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def is_alive(pid):
    """Whether a process runs; one that nobody has waited for yet has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("body", [LOOPING, COMPUTING, WAITING, WRITING], ids=["loop", "compute", "wait", "write"])
@pytest.mark.parametrize(
    ("number", "name", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)], ids=["int", "term"]
)
def test_signal_ends_a_command_in_two_seconds_with_what_is_kept_and_how_to_go_on(tmp_path, body, number, name, code):
    process, worker = started(tmp_path, body)
    process.send_signal(number)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=30)
    seconds = time.monotonic() - begin
    assert process.returncode == code
    expected = f"vestibule: error: stopped by {name}; the state is kept; go on with: vestibule '{tmp_path}/o ut'"
    assert errors.splitlines()[-1] == expected
    assert "Traceback" not in errors
    assert not is_alive(worker)
    assert os.listdir(tmp_path) == ["vestibule"]
    # Two on a machine that is not busy.
    assert seconds < 10


def test_worker_does_not_outlive_a_killed_command(tmp_path):
    process, worker = started(tmp_path, WAITING)
    assert is_alive(worker)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(worker)


def test_signal_for_a_worker_leaves_its_parent_alone(tmp_path):
    body = WAITING + "print(worker.exitcode)"
    process, worker = started(tmp_path, body)
    os.kill(worker, signal.SIGTERM)
    out, errors = process.communicate(timeout=30)
    # First how it ended: a command that was stopped from elsewhere has printed nothing.
    assert process.returncode == 0, errors
    assert out.split() == ["-15"]


@pytest.mark.parametrize(
    ("error", "is_shown"), [("OSError(28, 'No space left on device')", False), ("KeyError(3)", True)]
)
def test_disk_error_in_a_thread_of_a_library_is_left_to_the_main_thread(tmp_path, error, is_shown):
    body = f"""
import threading
def work():
    raise {error}
thread = threading.Thread(target=work)
thread.start()
thread.join()
ready()
"""
    process, _ = started(tmp_path, body)
    _, errors = process.communicate()
    assert ("Traceback" in errors) == is_shown


def test_file_that_ends_too_early_is_no_interruption(tmp_path):
    process, _ = started(tmp_path, "ready(); raise EOFError('no data left in file')")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "vestibule: error: a file ends too early (no data left in file)"
