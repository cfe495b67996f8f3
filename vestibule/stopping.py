"""Ctrl-C and SIGTERM: a command ends within two seconds, and says what is kept and how to go on.

The main thread is interrupted and tidies up. A library may keep it in a long computation, or wait for its worker
processes; so a thread, woken by the system itself, ends the process where the main thread has not done so in time.
Nothing is lost by that, since files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vestibule import files

GRACE_SECONDS = 1.0
"""For tidying up; then the process is ended as it stands."""
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
NOT_TOLD = "what was finished is kept"
SHOW_CURSOR = "\x1b[?25h"
"""Progress bars hide the cursor of a terminal."""

_printing = threading.Lock()
_forking = threading.local()
_state: dict[str, Any] = {"number": signal.SIGINT, "told": False, "describe": None, "process": None}


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by either signal."""


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """A block that either signal stops; outside the main thread, and on Windows, things stay as they are."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(os, "register_at_fork"):
        yield
        return

    _state.update(told=False, describe=None, process=os.getpid())
    before = {number: signal.signal(number, _interrupt) for number in NAMES}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        if not _state["told"]:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            _state["process"] = None
            # The thread ends with the pipe.
            os.close(writer)


@contextlib.contextmanager
def telling(describe: Callable[[], str]) -> Iterator[None]:
    """A block in which `describe` says what is kept, should the command be stopped within it."""
    before = _state["describe"]
    _state["describe"] = describe
    try:
        yield
    finally:
        # A command that is being stopped still has to say it.
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            _state["describe"] = before


def end() -> None:
    """Kill this process's own worker processes, print the last line, and exit by convention: 128 + the signal."""
    _kill_workers()
    _tell()
    sys.exit(128 + int(_state["number"]))


def die_with_parent(parent: int) -> None:
    """Let the system kill this worker process when its parent dies, even by SIGKILL; only Linux can.

    Args:
        parent: The parent's process number, since it may be dead already.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def command_line() -> str:
    """The command that is running, as one would type it."""
    program = Path(sys.argv[0])
    words = [program.name]
    if program.name == "__main__.py":
        words = ["python", "-m", program.parent.name]
    return shlex.join([*words, *sys.argv[1:]])


def _interrupt(number: int, _: object) -> None:
    _state["number"] = number
    raise Stopped


def _watch(reader: int) -> None:
    """Wait for one of the signals, and end the process if the main thread has not done so in time."""
    number = 0
    while number not in NAMES:
        received = os.read(reader, 1)
        if not received:
            os.close(reader)
            return
        number = received[0]
    _state["number"] = number
    time.sleep(GRACE_SECONDS)
    _kill_workers()
    files.remove_unfinished()
    _tell()
    os._exit(128 + number)


def _kill_workers() -> None:
    for worker in multiprocessing.active_children():
        with contextlib.suppress(OSError, ValueError):
            worker.kill()


def _tell() -> None:
    """Print the last line, once, whichever thread comes first; the other waits until it is there."""
    # It must not keep the process from ending.
    is_free = _printing.acquire(timeout=GRACE_SECONDS)
    try:
        if is_free and not _state["told"]:
            _print_last_line()
            _state["told"] = True
    finally:
        if is_free:
            _printing.release()


def _print_last_line() -> None:
    kept = NOT_TOLD
    if _state["describe"] is not None:
        with contextlib.suppress(Exception):
            kept = _state["describe"]()
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    name = NAMES[signal.Signals(_state["number"])]
    print(f"vestibule: error: stopped by {name}; {kept}; go on with: {command_line()}", file=sys.stderr, flush=True)


def _hold_signals() -> None:
    """Before a fork: a signal for the new process must not meet the parent's handlers in it."""
    if _state["process"] is not None:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, NAMES)


def _let_signals_in() -> None:
    mask = getattr(_forking, "mask", None)
    if mask is not None:
        _forking.mask = None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _leave_to_parent() -> None:
    """In a forked worker: no Ctrl-C, which the parent gets too, and no share in the parent's pipe."""
    if _state["process"] is None:
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _let_signals_in()
    die_with_parent(_state["process"])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_signals,
        after_in_parent=_let_signals_in,
        after_in_child=_leave_to_parent,
    )
