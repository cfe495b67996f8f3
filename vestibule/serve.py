"""The platform's `invoke` call style: a server that loads what it needs once and does a job for each request.

GET /health answers 200 once all is loaded; POST /invoke does what then lies in /input and answers 201, or 500 with the
cause. `vestibule.client` calls it as the platform does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import click

from vestibule.client import PORT
from vestibule.errors import InputError
from vestibule.inputs import is_platform_job
from vestibule.memory import memory_shortage

_MAX_BODY_BYTES = 1 << 20
IDLE_SECONDS = 60.0
"""A caller that sends nothing for so long is given up."""
METHODS = {"/health": "GET", "/invoke": "POST"}
"""What may be asked for, and how."""

API_STYLES = ("auto", "exec", "invoke")
"""How a container may be called."""

logger = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., object])


def api_option(default: str, help: str) -> Callable[[Command], Command]:
    """The option `--api` of a container's command.

    Args:
        default: One of `API_STYLES`.
        help: What the two styles do.
    """
    return click.option(
        "--api",
        type=click.Choice(API_STYLES),
        default=default,
        show_default=True,
        envvar="VESTIBULE_API",
        help=f"{help} `auto`: the former where a flat folder of cases lies in the input, else the latter.",
    )


def serves(api: str, input_dir: Path) -> bool:
    """Whether a container that was started so is to answer requests, rather than do one job and end.

    Args:
        api: One of `API_STYLES`.
        input_dir: Where the input lies, or will lie once the platform asks.
    """
    if api != "auto":
        return api == "invoke"
    # The organisers mount all cases before they start a container. The platform brings a job, or nothing yet.
    return is_platform_job(input_dir) or not _holds_anything(input_dir)


def _holds_anything(folder: Path) -> bool:
    """Whether a folder holds more than hidden files; what cannot be read holds nothing."""
    try:
        return any(not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError:
        return False


def serve(
    invoke: Callable[[], None],
    report: Callable[[str], None],
    host: str = "0.0.0.0",
    port: int = PORT,
) -> None:
    """Answer the platform until a SIGTERM.

    Args:
        invoke: Does one job; raises InputError where that fails.
        report: Gets the cause of each job that failed, in one line. The server lives on.
        host: Address to listen on.
        port: Port to listen on.
    """
    server = make_server(invoke, report, host, port)
    # As the first process of a container this one would not be ended by a signal without a handler.
    signal.signal(signal.SIGTERM, _end)
    with server:
        server.serve_forever()


def _end(*_: object) -> None:
    """End the process at once, without an error, whether a job runs or not."""
    with contextlib.suppress(OSError, RuntimeError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Not by sys.exit: a job's libraries have threads of their own, which abort the process where Python ends first.
    os._exit(0)


class _Handler(BaseHTTPRequestHandler):
    """What every answer needs; nothing that a caller does is worth a traceback."""

    def is_asked_rightly(self) -> bool:
        """Whether a request has a path that is there and its method; if not, that is answered."""
        method = METHODS.get(self.path)
        if method is None:
            self.answer(404, {"error": "no such path"})
            return False
        if method != self.command:
            self.answer(405, {"error": f"expected {method}"}, allow=method)
            return False
        return True

    def __getattr__(self, name: str) -> Callable[[], bool]:
        """Whatever other method a request has, its handler tells which is right."""
        if name.startswith("do_"):
            return self.is_asked_rightly
        raise AttributeError(name)

    def read_body(self) -> bool:
        """Read what comes with a request, which tells nothing, but the platform waits until it is read."""
        told = self.headers.get("Content-Length", "0")
        # More digits are no length that is read, and in thousands no number that Python reads.
        length = int(told) if told.isdecimal() and len(told) < 12 else _MAX_BODY_BYTES + 1
        if length > _MAX_BODY_BYTES:
            self.answer(413, {"error": f"expected a body of at most {_MAX_BODY_BYTES} bytes"})
            return False
        try:
            body = self.rfile.read(length)
        except OSError:  # Sent too slowly, or the caller has gone.
            self.answer(408, {"error": f"nothing came for {self.timeout:g} s"})
            return False
        if len(body) < length:
            self.answer(400, {"error": f"expected a body of {length} bytes, got {len(body)}"})
            return False
        return True

    def answer(self, status: int, content: dict, allow: str = "") -> None:
        """Send JSON, with the method that is allowed where another was asked by; a caller that has gone is no error."""
        body = json.dumps(content).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if allow:
                self.send_header("Allow", allow)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the log of requests out of stderr, whose last line the platform shows."""
        logger.debug(format, *arguments)


class _Server(ThreadingHTTPServer):
    """Keeps what goes wrong with a connection out of stderr, too."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Note it in the log alone."""
        logger.debug("a connection failed", exc_info=True)


def make_server(
    invoke: Callable[[], None],
    report: Callable[[str], None],
    host: str,
    port: int,
    idle_s: float = IDLE_SECONDS,
) -> ThreadingHTTPServer:
    """The server of `serve`, bound and not yet answering; one job runs at a time, and health is told meanwhile.

    Args:
        invoke: Does one job; raises InputError where that fails.
        report: Gets the cause of each job that failed, in one line.
        host: Address to listen on.
        port: Port to listen on.
        idle_s: A caller that sends nothing for so long is given up.
    """
    busy = threading.Lock()

    class Handler(_Handler):
        """Answers one request."""

        timeout = idle_s

        def do_GET(self) -> None:
            """Tell that all is loaded: it was, before the server was made."""
            if self.is_asked_rightly():
                self.answer(200, {"status": "ready"})

        def do_POST(self) -> None:
            """Do a job."""
            if not self.read_body() or not self.is_asked_rightly():
                return
            with busy:
                failure = _attempt(invoke)
            if failure is None:
                self.answer(201, {"status": "done"})
            else:
                report(failure)
                self.answer(500, {"error": failure})

    return _Server((host, port), Handler)


def _attempt(invoke: Callable[[], None]) -> str | None:
    """Run one job; where it fails, the cause in one line."""
    try:
        invoke()
    except InputError as error:
        return " ".join(str(error).split())
    except Exception as error:  # Whatever it is, the next job may go well.
        logger.debug("the job failed", exc_info=True)
        lacking = memory_shortage(error)
        return lacking or f"the job failed ({type(error).__name__}: {error})"
    return None
