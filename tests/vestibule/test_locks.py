import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vestibule.errors import InputError
from vestibule.locks import _lock_of, claimed

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
