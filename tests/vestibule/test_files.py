"""JSON from anywhere: what is not JSON proper is named, and never ends in another error than the one that is told."""

import errno
import json
import os
from pathlib import Path

import pytest

from vestibule.errors import InputError
from vestibule.files import parse_json, read_json, write_json, write_text

BAD = {
    "nothing": (b"", "Expecting value"),
    "cut short": (b'{"a": 1', "Expecting"),
    "not UTF-8": (b'{"a": "\xff"}', "utf-8"),
    "deep lists": (b"[" * 100_000, "within each other"),
    "deep objects": (b'{"a":' * 100_000, "within each other"),
    "key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
    "NaN": (b'{"a": NaN}', "NaN is no JSON value"),
    "infinite": (b'{"a": 1e999}', "1e999 is no JSON value"),
    "endless digits": (b"1" * 5000, "digits"),
    "half a character": (b'["\\ud800"]', "surrogates"),
}


@pytest.mark.parametrize(("content", "cause"), BAD.values(), ids=BAD)
def test_what_is_no_json_proper_is_named(tmp_path, content, cause):
    with pytest.raises(ValueError, match=cause):
        parse_json(content)
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_json(path) is None


def test_json_with_a_byte_order_mark_is_read():
    assert parse_json(b'\xef\xbb\xbf{"a": "\\u00fc\\ud83d\\ude00"}') == {"a": "ü\N{GRINNING FACE}"}


@pytest.mark.parametrize("content", [b"[1]", b"1", b"null", b'"a"'])
def test_a_file_of_another_value_holds_no_object(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") is None


def test_a_device_is_written_to_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_json(pipe, {"a": 1})
    assert json.loads(os.read(reader, 1000)) == {"a": 1}
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_full_device_is_told_in_one_line():
    with pytest.raises(InputError, match=r"^/dev/full: cannot be written \(No space left on device\)$"):
        write_json(Path("/dev/full"), {"a": 1})


def test_bytes_are_on_the_disk_before_a_file_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    done = []
    replace, sync = os.replace, os.fsync

    def fsync(descriptor):
        done.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def rename(old, new):
        done.append("named")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    write_text(tmp_path / "a.txt", "a")
    written, *rest = done
    assert Path(written).name.endswith("a.txt")
    assert rest == ["named", str(tmp_path)]


def test_disk_that_refuses_at_the_last_moment_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]
