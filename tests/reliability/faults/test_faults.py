"""The short part of the faults, about 20 s, and whether it would see what it looks for."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.reliability.faults.__main__ import table
from tests.reliability.faults.clock import LIBRARY, build
from tests.reliability.faults.plan import one_of_each_kind
from tests.reliability.faults.trials import CLEAR, DAMAGES, SAME, WRONG, Result, Template, claim_of_checkpoint
from tests.reliability.faults.world import LAST_LINE, TRACEBACK, Ending
from vestibule.files import write_json


@pytest.mark.slow
def test_faults_in_the_first_stages_leave_the_undisturbed_weights_or_one_clear_line(repository, tmp_path):
    command = [sys.executable, "-m", "tests.reliability.faults", "--short", "--work", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "| kills | cyclegan | 2 | 0 | 0 | 0 |" in finished.stdout


def test_traceback_or_silence_is_not_one_clear_line():
    line = f"{LAST_LINE}state.pt: is cut short; delete it"
    assert Ending(1, f"a remark\n{line}\n", 1.0).is_clear
    assert not Ending(0, line, 1.0).is_clear
    assert not Ending(1, "", 1.0).is_clear
    assert not Ending(1, f"Traceback (most recent call last):\n{line}", 1.0).is_clear
    assert not Ending(TRACEBACK, line, 1.0).is_clear


def test_other_bytes_than_those_of_the_undisturbed_run_are_wrong(tmp_path):
    template = Template(tmp_path / "template", ("cyclegan",))
    write_json(template.run / "cyclegan/stage.json", {"outputs": {"a": "1", "b": "2"}})
    run = tmp_path / "run"
    write_json(run / "cyclegan/stage.json", {"outputs": {"a": "1", "b": "3"}})
    result = template.compare("cyclegan", run, Ending(0, "", 1.0), "kills")
    assert (result.outcome, result.detail) == (WRONG, "other bytes in b")
    write_json(run / "cyclegan/stage.json", {"outputs": {"a": "1", "b": "2"}})
    assert template.compare("cyclegan", run, Ending(0, "", 1.0), "kills").outcome == SAME
    assert template.compare("cyclegan", run, Ending(1, "", 1.0), "kills").outcome == WRONG


def test_checkpoint_that_a_last_line_names_must_be_there(tmp_path):
    path = tmp_path / "state.pt"
    line = f"stopped by SIGTERM; stage 'cyclegan' goes on from {path}; go on with: vestibule train cyclegan"
    assert claim_of_checkpoint(line)
    path.write_text("")
    assert claim_of_checkpoint(line) is None


def test_clock_of_a_process_and_of_what_it_forks_is_shifted(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no compiler of C")
    library = build(tmp_path, compiler)
    code = "import datetime, os, time, tests.reliability.faults.clock as c; m = time.monotonic(); c.shift(-86400); "
    code += "print(time.time(), datetime.datetime.now().timestamp(), time.monotonic() - m, flush=True); os.fork(); "
    code += "print(time.time())"
    environment = os.environ | {LIBRARY: str(library), "LD_PRELOAD": str(library)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, second, monotonic, *forked = map(float, done.stdout.split())
    yesterday = time.time() - 86400
    for told in (first, second, *forked):
        assert abs(told - yesterday) < 60
    assert len(forked) == 2
    assert 0 <= monotonic < 60


def test_damages_are_what_they_are_called(tmp_path):
    path = tmp_path / "file"
    found = {}
    for kind, damage in DAMAGES.items():
        path.write_bytes(b"abcd")
        damage(path)
        found[kind] = path.read_bytes() if path.exists() else None
    assert found == {"flip": b"absd", "cut": b"ab", "empty": b"", "delete": None}


def test_one_file_of_each_kind_is_damaged():
    names = ["a/1.npy", "a/2.npy", "a/1_label.npy", "index.json", "weights.safetensors"]
    assert set(one_of_each_kind(names)) == {"a/1.npy", "a/1_label.npy", "index.json", "weights.safetensors"}


def test_counts_are_told_by_fault_and_subject():
    text = table([Result("kills", "cyclegan", SAME), Result("kills", "cyclegan", SAME), Result("clock", "x", CLEAR)])
    assert "| kills | cyclegan | 2 | 0 | 0 | 0 |" in text
    assert text.splitlines()[-1] == "| all | | 2 | 1 | 0 | 0 |"
