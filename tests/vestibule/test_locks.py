import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vestibule.errors import InputError
from vestibule.locks import _lock_of, claimed, claimed_part, holder_of

HOLD = """
import sys, time
from pathlib import Path
from vestibule.locks import _lock_of, claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has claimed `out`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_folder_that_another_process_writes_to_is_refused_with_its_name(holder, tmp_path):
    expected = rf"out: is being written by process {holder.pid} on \S+ since .*: -c {re.escape(str(tmp_path))}"
    with pytest.raises(InputError, match=expected), claimed(tmp_path / "out"):
        pass
    with claimed(tmp_path / "other"):
        pass


def test_dead_process_keeps_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    with claimed(tmp_path / "out"):
        assert os.listdir(tmp_path) == [".out.lock"]
    assert os.listdir(tmp_path) == []


def test_claim_ends_with_an_error_and_may_be_taken_again(tmp_path):
    with pytest.raises(RuntimeError), claimed(tmp_path / "out"):
        raise RuntimeError
    with claimed(tmp_path / "out"), pytest.raises(InputError, match="is being written by process"):
        claimed(tmp_path / "out").__enter__()


def test_folder_without_a_place_for_the_lock_is_left_to_who_writes_first(tmp_path):
    (tmp_path / "file").write_text("")
    with claimed(tmp_path / "file" / "out"):
        pass


def test_root_of_all_folders_has_a_lock_within_it():
    assert _lock_of(Path("/")) == Path("/.lock")


def test_lock_that_holds_no_text_is_no_reason_to_fail(holder, tmp_path):
    (tmp_path / ".out.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is being written by"), claimed(tmp_path / "out"):
        pass


ELSEWHERE = "process 7 on another-machine since 2026-01-01 00:00: vestibule train run"


def test_holder_is_told_to_whoever_asks_and_a_dead_one_is_not(holder, tmp_path):
    assert f"process {holder.pid} on " in holder_of(tmp_path / "out")
    assert holder_of(tmp_path / "other") is None
    holder.kill()
    holder.wait()
    assert holder_of(tmp_path / "out") is None


def test_parts_of_a_folder_are_claimed_side_by_side_and_the_whole_is_refused_meanwhile(tmp_path):
    out = tmp_path / "out"
    with claimed_part(out, "fold_0"), claimed_part(out, "fold_1"):
        with pytest.raises(InputError, match="out: is being written by process"), claimed(out):
            pass
        with pytest.raises(InputError, match=r"out.part-fold_1: is being written by"), claimed_part(out, "fold_1"):
            pass
    with claimed(out), pytest.raises(InputError, match="out: is being written by process"), claimed_part(out, "fold_0"):
        pass
    with claimed(out), claimed(tmp_path / "out.other"):
        pass
    assert os.listdir(tmp_path) == []


def test_lock_of_a_dead_process_of_another_machine_is_taken_once_it_gives_no_sign_of_life(tmp_path):
    (tmp_path / ".out.lock").write_text(ELSEWHERE)
    with claimed(tmp_path / "out", beat_s=0.02):
        assert f"process {os.getpid()} on" in (tmp_path / ".out.lock").read_text()
    assert os.listdir(tmp_path) == []


def test_lock_that_a_process_of_another_machine_touches_is_refused_with_its_name(tmp_path):
    lock = tmp_path / ".out.lock"
    lock.write_text(ELSEWHERE)
    touching = subprocess.Popen(
        [sys.executable, "-c", "import os, sys, time\nwhile True: os.utime(sys.argv[1]); time.sleep(0.02)", str(lock)]
    )
    try:
        with pytest.raises(InputError, match="process 7 on another-machine"), claimed(tmp_path / "out", beat_s=1.0):
            pass
        assert holder_of(tmp_path / "out") == ELSEWHERE
    finally:
        touching.kill()
        touching.wait()


def test_held_lock_is_touched_while_its_process_lives(tmp_path):
    lock = tmp_path / ".out.lock"
    with claimed(tmp_path / "out", beat_s=0.01):
        before = lock.stat().st_mtime_ns
        deadline = time.monotonic() + 10
        while lock.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lock.stat().st_mtime_ns > before
