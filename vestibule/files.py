"""Files that appear whole or not at all: the one way in which anything here is written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vestibule.errors import InputError

PARTIAL = ".partial-"
"""How the name of a file begins that is being written."""
unfinished: set[Path] = set()
"""What is being written by `atomic` in this process."""
NOT_UTF8 = "its name is not UTF-8 text; rename it"
"""What is said of a file with such a name."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path to write in place of `path`; it becomes `path` when the block ends, and vanishes where the block fails.

    It lies beside `path`, has the same ending, and is named by process, so that two of them do not meet. Missing
    parent folders are made.

    Args:
        path: The file that is wanted.

    Yields:
        The path to write.

    Raises:
        InputError: The disk refuses, by the file's name and the system's reason.
    """
    path = Path(path)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.add(partial)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        unfinished.discard(partial)


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


def read_json(path: Path) -> Any | None:
    """What a JSON file holds; None where there is no such file or it is not JSON."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text)
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return None


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def printable(path: Path) -> str:
    """`path` as text for a message, with bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_printable(path: Path) -> bool:
    """Whether `path` is UTF-8, without which ITK ends the whole process."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
