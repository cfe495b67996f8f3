"""Progress with the time left on stderr; nothing where stderr is no terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def progress_bar(title: str, total: int | None = None, start: int = 0) -> Iterator[Callable[[int, int | None], None]]:
    """A bar for the time of a block; of several processes that train together, the first one shows it.

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
    with Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not (leads and sys.stderr.isatty()),
    ) as bar:
        task = bar.add_task(title, total=total, completed=start)

        def advance(done: int, of: int | None = None) -> None:
            bar.update(task, completed=done, total=of)

        yield advance


def track(items: Sequence[T] | Iterable[T], title: str, total: int | None = None, start: int = 0) -> Iterator[T]:
    """Iterate over `items` behind a progress bar.

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
