"""One process at a time: files that are changed, folders that are written. A dead process keeps nothing.

The locks are the system's own (`flock`), which end with the process that holds them, however it ends. On a network
file system they may be unknown, or hold within one machine alone. So a holder also touches its lock file while it
lives, and a lock file that names a process of another machine is watched for that.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from vestibule.errors import InputError
from vestibule.stopping import command_line

NOT_OFFERED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EACCES, errno.EROFS, errno.EPERM}
"""What a file system without locks, or a folder that may not be written, answers."""
BEAT_S = 10.0
"""Seconds between two touches of a lock file that is held."""
SILENT_BEATS = 3.5
"""A holder on another machine that has not touched its lock file for so many beats is dead."""
TRIES = 4
"""Whoever only looks whether a folder is claimed holds its lock for an instant."""
PAUSE_S = 0.05
PART = ".part-"
"""Between the name of a folder and that of a part in the name of the part's lock."""
HOLDER = re.compile(r"process \d+ on (?P<host>\S+) since ")

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """A block that one process at a time enters for `path`, to read, change and write it; others wait.

    The lock is a hidden file beside it, which stays. Raises InputError where the disk refuses.
    """
    # Not on Windows, where nothing else here asks for it.
    import fcntl

    lock = _lock_of(path)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        raise InputError(f"{lock}: cannot be written ({error.strerror or error})") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def claimed(folder: Path, beat_s: float = BEAT_S) -> Iterator[None]:
    """A block that alone writes to `folder`; others are refused, those that claim a part of it too.

    The lock is a hidden file beside the folder, which goes with the block. Where the folder beside may not be written,
    nothing is refused.

    Args:
        folder: What is written to; it need not be there.
        beat_s: Seconds between two touches of the lock file.

    Raises:
        InputError: Another process is writing to it; the message says which.
    """
    with _held(folder, beat_s):
        for lock in _locks_of_parts(folder):
            _refuse_held(folder, lock, beat_s)
        yield


@contextlib.contextmanager
def claimed_part(folder: Path, part: str, beat_s: float = BEAT_S) -> Iterator[None]:
    """A block that alone makes one part of what `folder` holds; others may make other parts meanwhile.

    Args:
        folder: What is written to.
        part: Name of the part.
        beat_s: Seconds between two touches of the lock file.

    Raises:
        InputError: Another process makes this part, or has claimed the whole folder; the message says which.
    """
    with _held(part_place(folder, part), beat_s):
        # In this order: of two that begin at once, one at least sees the other.
        _refuse_held(folder, _lock_of(folder), beat_s)
        yield


def part_place(folder: Path, part: str) -> Path:
    """What stands for a part of `folder` among what is claimed."""
    folder = Path(folder).resolve()
    return folder.with_name(f"{folder.name}{PART}{part}")


def holder_of(folder: Path) -> str | None:
    """Who has claimed `folder`, in words; None where nobody has. Nothing is claimed or refused by asking."""
    import fcntl

    lock = _lock_of(folder)
    try:
        with lock.open(encoding="utf-8", errors="backslashreplace") as stream:
            holder = stream.read()
            touched_s = time.time() - os.fstat(stream.fileno()).st_mtime
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return holder or "another process"
            except OSError:
                # A file system without locks: the touches alone tell.
                return holder if touched_s < BEAT_S * SILENT_BEATS else None
    except OSError:
        return None
    is_fresh = touched_s < BEAT_S * SILENT_BEATS
    return holder if is_fresh and _is_elsewhere(holder) else None


@contextlib.contextmanager
def _held(folder: Path, beat_s: float) -> Iterator[None]:
    stream = _take(folder, beat_s)
    if stream is None:
        yield
        return
    ended = threading.Event()
    with stream:
        holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M}"
        with contextlib.suppress(OSError):
            stream.truncate(0)
            stream.write(f"{holder}: {command_line()}")
            stream.flush()
        beat = threading.Thread(target=_beat, args=(stream.fileno(), beat_s, ended), daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            # Its file number may be another file's soon. A file system that hangs is not waited for.
            beat.join(1.0)
            # While it is held, so that nobody waits for a file that has no name any more.
            with contextlib.suppress(OSError):
                _lock_of(folder).unlink()


def _beat(descriptor: int, beat_s: float, ended: threading.Event) -> None:
    """Touch an open lock file at intervals: the sign of life that other machines see."""
    while not ended.wait(beat_s):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _locks_of_parts(folder: Path) -> list[Path]:
    """Lock files of parts of a folder, held or left by dead processes."""
    lock = _lock_of(folder)
    prefix = lock.name.removesuffix(".lock") + PART
    found = []
    with contextlib.suppress(OSError):
        # `glob` would take brackets in a name for a pattern.
        for other in lock.parent.iterdir():
            if other.name.startswith(prefix):
                found.append(other)
    return sorted(found)


def _refuse_held(folder: Path, lock: Path, beat_s: float) -> None:
    """Raise InputError where a lock file is held, by whom `folder` is written to."""
    if not lock.is_file():
        return
    stream = _open_free(folder, lock, beat_s)
    if stream is not None:
        stream.close()


def _take(folder: Path, beat_s: float) -> IO[str] | None:
    """The open lock of a folder, held by this process; None where there can be none."""
    lock = _lock_of(folder)
    while True:
        stream = _open_free(folder, lock, beat_s)
        if stream is None:
            return None
        # Its holder may have removed it between the two steps.
        with contextlib.suppress(OSError):
            if lock.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        stream.close()


def _open_free(folder: Path, lock: Path, beat_s: float) -> IO[str] | None:
    """A lock file, open and locked; None where it cannot be opened. Raises InputError where somebody holds it."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        # Names of files may be of any bytes, also those in the command line that is written here.
        stream = lock.open("a+", encoding="utf-8", errors="backslashreplace")
    except OSError:
        # Who cannot write here is told by what writes first, which knows the file that matters.
        return None
    try:
        has_lock = _try_lock(stream)
        stream.seek(0)
        holder = stream.read()
        # A lock of this machine ends with its process; of another machine's nothing may be known here.
        is_doubtful = not has_lock or _is_elsewhere(holder)
        if holder and is_doubtful and _gives_sign_of_life(lock, holder, beat_s):
            raise BlockingIOError
    except BlockingIOError as error:
        with stream:
            stream.seek(0)
            holder = stream.read() or "another process"
        raise InputError(
            f"{folder}: is being written by {holder}; wait until it has ended, or name another folder"
        ) from error
    except OSError:
        stream.close()
        raise
    return stream


def _try_lock(stream: IO[str]) -> bool:
    """Whether the system has locked an open file for this process; raises BlockingIOError where another has it."""
    # Not on Windows.
    import fcntl

    for left in reversed(range(TRIES)):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not left:
                raise
            time.sleep(PAUSE_S)
        except OSError as error:
            if error.errno in NOT_OFFERED:
                return False
            raise
    return False


def _is_elsewhere(holder: str) -> bool:
    """Whether a lock file's text names a process of another machine."""
    found = HOLDER.match(holder)
    return found is not None and found["host"] != socket.gethostname()


def _gives_sign_of_life(lock: Path, holder: str, beat_s: float) -> bool:
    """Watch a lock file for some beats: whether its holder touches it."""
    logger.info("%s: names %s; waiting for a sign of life of it", lock, holder)
    before = _touched(lock)
    deadline = time.monotonic() + SILENT_BEATS * beat_s
    while time.monotonic() < deadline:
        time.sleep(beat_s / 4)
        touched = _touched(lock)
        if touched != before:
            # Where the file is gone, its holder has ended by itself.
            return touched is not None
    return False


def _touched(lock: Path) -> int | None:
    """When a lock file was touched, ns; None where it is gone."""
    # A network file system asks its server anew whenever a file is opened.
    try:
        with lock.open("rb") as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
    except OSError:
        return None


def _lock_of(path: Path) -> Path:
    # A name such as `.` has none before it is resolved.
    path = Path(path).resolve()
    if not path.name:
        # The root of all folders has nothing beside it.
        return path / ".lock"
    return path.with_name(f".{path.name}.lock")
