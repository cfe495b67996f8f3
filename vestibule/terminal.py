"""Standard output and standard error, whatever the terminal, the locale and the names that are printed."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def accept_any_text() -> None:
    """Print as an escape what the terminal's encoding does not have, such as `±` in one without Unicode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def has_unicode() -> bool:
    """Whether standard output takes every character."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").replace("_", "") in ("utf8", "utf16", "utf32")


def table_console(file_width: int | None = None) -> Console:
    """Standard output for tables, whose cells may be names that anyone has chosen.

    Args:
        file_width: Characters of a line where the output is no terminal, since a file has no width.

    Returns:
        A console that takes no text for markup: `[/b]` in a name would be an error, and `[red]` vanish.
    """
    from rich.console import Console

    plain = Console(markup=False, emoji=False)
    if file_width is None or plain.is_terminal:
        return plain
    return Console(width=file_width, markup=False, emoji=False)
