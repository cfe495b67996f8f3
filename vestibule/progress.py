"""Progress with the time left on stderr: a bar on a terminal, elsewhere a line every so often."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from vestibule.logs import FILE_ONLY, PLAIN, is_told

T = TypeVar("T")
Listener = Callable[[str, int, int | None, int], None]
"""Called with a loop's title, its steps done, its steps in all, and those that were done before it began."""

FIRST_LINE_S = 20.0
"""Whatever takes no longer needs no line."""
EVERY_S = 60.0

logger = logging.getLogger(__name__)
_listeners: list[Listener] = []


@contextlib.contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """A block in which `listener` is told of every step of every loop with progress, in the process that leads."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class ProgressLines:
    """A line with what is done and the time left, at most one in `EVERY_S`."""

    def __init__(self, title: str, start: int, extra: dict[str, bool]) -> None:
        """Begin to count.

        Args:
            title: What stands before a line.
            start: Steps that were done before.
            extra: How its lines are logged.
        """
        self._title = title
        self._start = start
        self._extra = extra
        self._begin_s = time.monotonic()
        self._next_s = self._begin_s + FIRST_LINE_S

    def advance(self, done: int, total: int | None) -> None:
        """Log a line where it is time for one."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        elapsed_s = now_s - self._begin_s
        logger.info("%s", progress_line(self._title, done, total, self._start, elapsed_s), extra=self._extra)


def progress_line(title: str, done: int, total: int | None, start: int, elapsed_s: float) -> str:
    """`TITLE: 30 of 120, 0:10 so far, 0:30 left`; times in hours, minutes and seconds."""
    line = f"{title}: {done}"
    if total is not None:
        line += f" of {total}"
    line += f", {clock(elapsed_s)} so far"
    if total is not None and done > start:
        each_s = elapsed_s / (done - start)
        line += f", {clock(each_s * (total - done))} left"
    return line


def clock(seconds: float) -> str:
    """`0:30`, `1:02:03`: minutes and seconds, with hours before them where there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@contextlib.contextmanager
def progress_bar(title: str, total: int | None = None, start: int = 0) -> Iterator[Callable[[int, int | None], None]]:
    """Progress for the time of a block; of several processes that train together, the first one shows it.

    A bar where stderr is a terminal. Elsewhere, and in a log file, a line once in a while.

    Args:
        title: What stands before the bar.
        total: Steps in all; None where the first call tells them.
        start: Steps that are done already.

    Yields:
        A function to call with (steps done, steps in all or None for the same as before).
    """
    # rich takes 50 ms to import, which `--help` need not wait for.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    leads = os.environ.get("RANK", "0") == "0"
    has_bar = leads and sys.stderr.isatty() and is_told(logging.INFO)
    lines = ProgressLines(title, start, FILE_ONLY if has_bar else PLAIN)
    of = total
    with Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not has_bar,
    ) as bar:
        task = bar.add_task(title, total=total, completed=start)

        def advance(done: int, new_total: int | None = None) -> None:
            nonlocal of
            of = of if new_total is None else new_total
            bar.update(task, completed=done, total=new_total)
            if leads:
                lines.advance(done, of)
                for listener in _listeners:
                    listener(title, done, of, start)

        yield advance


def track(items: Sequence[T] | Iterable[T], title: str, total: int | None = None, start: int = 0) -> Iterator[T]:
    """Iterate over `items` with `progress_bar`.

    Args:
        items: What to iterate over, without what is done already.
        title: What stands before the bar.
        total: Steps in all; by default the number of `items`.
        start: Steps that are done already.

    Yields:
        The items, in their order.
    """
    count = total if total is not None else len(items)  # type: ignore[arg-type]
    with progress_bar(title, count, start) as advance:
        for done, item in enumerate(items, start=start + 1):
            yield item
            advance(done, None)
