"""What must not happen while a damaged file is read, noted in a process of its own."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What no file may cost."""

    memory_bytes: int = 2 << 30
    cpu_seconds: float = 10.0
    """Time of a processor."""
    wall_seconds: float = 120.0
    """Time in which a file hangs even where it uses no processor; long, since machines may be busy."""


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
}
"""Events, and which of their arguments name what is changed."""
_OWN_CALL = ["git", "describe"]
"""How a record tells which commit made it."""
_CALLS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "os.fork")


class Watch:
    """Notes files that are changed outside of the folders where this is allowed, and programs that are called.

    An audit hook of Python sees all of its own calls, whoever makes them; it stays for the life of the process.
    """

    def __init__(self, allowed: list[Path]) -> None:
        self._allowed = [os.path.realpath(folder) + os.sep for folder in allowed]
        self.found: list[str] = []
        self.is_on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITES
            if isinstance(mode, str):
                writes = bool(set(mode) & set("wax+"))
            if writes:
                self._note(event, path)
        elif event in _CHANGES:
            for index in _CHANGES[event]:
                self._note(event, arguments[index])
        elif event in _CALLS:
            is_own = event == "subprocess.Popen" and list(arguments[1])[:2] == _OWN_CALL
            if not is_own:
                self.found.append(f"{event} {arguments[:2]!r:.200}")

    def _note(self, event: str, place: Any) -> None:
        if not isinstance(place, str | bytes | os.PathLike) or os.fspath(place) in ("", os.devnull):
            return
        path = os.path.abspath(os.fsdecode(place))
        if not any((path + os.sep).startswith(folder) for folder in self._allowed):
            self.found.append(f"{event} {path}")


class Coverage:
    """Lines of the project that ran, so that what reaches new ones can be kept and changed further."""

    def __init__(self, root: Path, packages: tuple[str, ...]) -> None:
        self._folders = tuple(str(root / package) + os.sep for package in packages)
        self._own: dict[CodeType, bool] = {}
        self._seen: set[tuple[CodeType, int]] = set()
        self._new = False

    def __enter__(self) -> Coverage:
        self._new = False
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    @property
    def is_new(self) -> bool:
        """Whether the last block reached a line for the first time."""
        return self._new

    @property
    def lines(self) -> int:
        return len(self._seen)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        own = self._own.get(code)
        if own is None:
            own = self._own[code] = code.co_filename.startswith(self._folders)
        return self._line if own else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            place = (frame.f_code, frame.f_lineno)
            if place not in self._seen:
                self._seen.add(place)
                self._new = True
        return self._line


def limit_memory(most: int) -> None:
    """Let no allocation above `most` bytes endanger the machine."""
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_bytes() -> int:
    """The largest memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu_seconds(pid: int) -> float:
    """Time of a processor that another process has used; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
