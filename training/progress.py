"""Progress with the time left, silent where there is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


def track(items: Sequence[T] | Iterable[T], title: str, total: int | None = None, start: int = 0) -> Iterator[T]:
    """Iterate over `items` behind a progress bar with the time left; `start` of `total` are done already."""
    with Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0",
    ) as bar:
        count = total if total is not None else len(items)  # type: ignore[arg-type]
        task = bar.add_task(title, total=count, completed=start)
        for item in items:
            yield item
            bar.advance(task)
