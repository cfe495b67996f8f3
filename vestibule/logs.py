"""What a command says on stderr and keeps in a log file: set up once for all commands, on Python's logging.

Modules log to `logging.getLogger(__name__)`, and a program that only imports them decides itself where that goes. A
command calls `start` first and `stop` last.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from vestibule.errors import InputError
from vestibule.text import shown

PACKAGES = ("vestibule", "contract", "training", "evaluation")
"""Whose messages are told below the level of a warning; other libraries' are not."""
PLAIN = {"plain": True}
"""`extra=PLAIN` for a line that stands on stderr as it is, without its level before it."""
FILE_ONLY = {"file_only": True}
"""`extra=FILE_ONLY` for what is on the terminal already."""
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"

logger = logging.getLogger(__name__)
_handlers: list[logging.Handler] = []


class _OnStderr(logging.Handler):
    """Writes to whatever stderr is at that moment, so that a progress bar or a test may take its place."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "file_only", False):
            click.echo(self.format(record), err=True)


class _Shown(logging.Formatter):
    """The message, in which no name steers the terminal that shows the file."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


class _Line(logging.Formatter):
    """The message, with the level before it where it is a warning or worse."""

    def format(self, record: logging.LogRecord) -> str:
        line = shown(super().format(record))
        if record.levelno < logging.WARNING or getattr(record, "plain", False):
            return line
        return f"{record.levelname.lower()}: {line}"


def start(level: int = logging.INFO, file: Path | None = None) -> None:
    """Tell messages from `level` on stderr, and keep all of them in `file`; what was set up before ends.

    Args:
        level: One of logging's.
        file: Where each message is added as a line with time, level and module; its folder is made.

    Raises:
        InputError: The file cannot be written.
    """
    stop()
    on_stderr = _OnStderr(level)
    on_stderr.setFormatter(_Line())
    _handlers.append(on_stderr)
    if file is not None:
        _handlers.append(_file_handler(file))
    for handler in _handlers:
        logging.getLogger().addHandler(handler)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.DEBUG)


def stop() -> None:
    """Undo `start`."""
    for handler in _handlers:
        logging.getLogger().removeHandler(handler)
        handler.close()
    _handlers.clear()
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)


def is_started() -> bool:
    """Whether messages go where `start` has said."""
    return bool(_handlers)


def log_file() -> Path | None:
    """The file that all messages are kept in; None where there is none."""
    for handler in _handlers:
        if isinstance(handler, logging.FileHandler):
            return Path(handler.baseFilename)
    return None


def is_told(level: int) -> bool:
    """Whether messages of a level are told on stderr; also where nobody has said."""
    return not _handlers or _handlers[0].level <= level


def tell(line: str, level: int = logging.INFO) -> None:
    """Say a line on stderr as it is, where messages of its level are told; also where nobody has called `start`."""
    if is_started():
        logger.log(level, "%s", line, extra=PLAIN)
    else:
        click.echo(shown(line), err=True)


def say(line: str) -> None:
    """Say on stdout what became of a command; left out where only warnings are told, and kept in the log file."""
    if is_told(logging.INFO):
        click.echo(shown(line))
    logger.info("%s", line, extra=FILE_ONLY)


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: the log cannot be written there ({error.strerror}); name another file") from error
    handler.setFormatter(_Shown(LINE))
    return handler
