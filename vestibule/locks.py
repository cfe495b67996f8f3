"""One process at a time: files that are changed, folders that are written. A dead process keeps nothing.

The locks are the system's own (`flock`), which end with the process that holds them, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from vestibule.errors import InputError
from vestibule.stopping import command_line

NOT_OFFERED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EACCES, errno.EROFS, errno.EPERM}
"""What a file system without locks, or a folder that may not be written, answers."""


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
def claimed(folder: Path) -> Iterator[None]:
    """A block that alone writes to `folder`; others are refused.

    The lock is a hidden file beside the folder, which goes with the block. Where the file system has no locks, or the
    folder beside may not be written, nothing is refused.

    Args:
        folder: What is written to; it need not be there.

    Raises:
        InputError: Another process is writing to it; the message says which.
    """
    stream = _take(folder)
    if stream is None:
        yield
        return
    with stream:
        holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M}"
        with contextlib.suppress(OSError):
            stream.truncate(0)
            stream.write(f"{holder}: {command_line()}")
            stream.flush()
        try:
            yield
        finally:
            # While it is held, so that nobody waits for a file that has no name any more.
            with contextlib.suppress(OSError):
                _lock_of(folder).unlink()


def _take(folder: Path) -> IO[str] | None:
    """The open lock of a folder, held by this process; None where there can be none."""
    # Not on Windows.
    import fcntl

    lock = _lock_of(folder)
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            # Names of files may be of any bytes, also those in the command line that is written here.
            stream = lock.open("a+", encoding="utf-8", errors="backslashreplace")
        except OSError:
            # Who cannot write here is told by what writes first, which knows the file that matters.
            return None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with stream:
                stream.seek(0)
                holder = stream.read() or "another process"
            raise InputError(
                f"{folder}: is being written by {holder}; wait until it has ended, or name another folder"
            ) from error
        except OSError as error:
            stream.close()
            if error.errno in NOT_OFFERED:
                return None
            raise
        # Its holder may have removed it between the two steps.
        with contextlib.suppress(OSError):
            if lock.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        stream.close()


def _lock_of(path: Path) -> Path:
    # A name such as `.` has none before it is resolved.
    path = Path(path).resolve()
    if not path.name:
        # The root of all folders has nothing beside it.
        return path / ".lock"
    return path.with_name(f".{path.name}.lock")
