"""Files that appear whole or not at all: the one way in which anything here is written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vestibule.errors import InputError
from vestibule.text import is_plain, shown

PARTIAL = ".partial-"
"""How the name of a file begins that is being written."""
unfinished: set[Path] = set()
"""What is being written by `atomic` and `new_folder` in this process."""
NOT_UTF8 = "its name is not UTF-8 text, or holds control characters; rename it"
"""What is said of a file with such a name."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path to write in place of `path`; it becomes `path` when the block ends, and vanishes where the block fails.

    Its bytes are on the disk before it has its name, so that after a power cut, too, it is whole or not there.
    It lies beside `path`, has the same ending, and is named by process, so that two of them do not meet. Missing
    parent folders are made. A device or a pipe, /dev/stdout say, is written to itself, and not replaced by a file.

    Args:
        path: The file that is wanted.

    Yields:
        The path to write.

    Raises:
        InputError: The disk refuses, by the file's name and the system's reason.
    """
    path = Path(path)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    is_device = path.exists() and not path.is_file() and not path.is_dir()
    try:
        if is_device:
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.add(partial)
        yield partial
        _bring_to_disk(partial)
        os.replace(partial, path)
        _bring_to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        unfinished.discard(partial)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill in place of `path`; it becomes `path` when the block ends, and vanishes where the block fails.

    It lies beside `path`, and is named by process. Missing parent folders are made.

    Args:
        path: The folder that is wanted, which must not be there.

    Yields:
        The folder to fill.

    Raises:
        InputError: `path` is there already, or the disk refuses.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: is there already; name a folder that is not, or delete it first")
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        unfinished.add(partial)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        unfinished.discard(partial)


def remove_unfinished() -> None:
    """Remove what is being written, where the process is about to end without its blocks' own ends."""
    for partial in list(unfinished):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
            continue
        with contextlib.suppress(OSError):
            partial.unlink()


def _bring_to_disk(path: Path) -> None:
    """Wait until the system has written a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot do it for folders; a disk that is full says so here at the latest.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that `atomic` is writing, or was writing when its process was killed."""
    return path.name.startswith(PARTIAL)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all. Raises InputError where the disk refuses."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int = 2) -> None:
    """Write `value` as JSON, whole or not at all.

    Raises InputError where the disk refuses, ValueError for NaN or infinity and TypeError for what JSON does not have.
    """
    text = json.dumps(value, indent=indent, allow_nan=False)
    write_text(path, text + "\n")


def parse_json(content: bytes) -> Any:
    """The value in JSON that may come from anyone: the one way in which any is read.

    Raises ValueError, saying what is wrong, where it is no JSON in UTF-8, too deep, gives a key twice, or holds a
    number that is not finite, or a text that is no Unicode and so could be neither printed nor the name of a file.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError:
        raise ValueError("too many lists and objects within each other") from None
    # Half a character can only be written as an escape.
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {doubled!r:.80} stands twice in one object")
    return found


def _finite(text: str) -> float:
    """The number that `text` is. Python reads NaN and Infinity too, which JSON does not have."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is no JSON value")
    return number


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that a JSON file holds; None where there is no such file, or it holds something else."""
    # A pipe would be waited for without end.
    if not Path(path).is_file():
        return None
    try:
        value = parse_json(Path(path).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def printable(path: Path) -> str:
    """`path` as text for a message, with bytes that are not UTF-8 and control characters as escapes."""
    escaped = shown(str(path))
    return escaped.replace("\n", "\\n").replace("\t", "\\t")


def is_printable(path: Path) -> bool:
    """Whether the name of `path` can be shown, and the whole is UTF-8, without which ITK ends the process."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return is_plain(path.name)
