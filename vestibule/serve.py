"""The platform's `invoke` call style: a server that loads the weights once and segments a job for each request.

GET /health answers 200 once the weights are loaded; POST /invoke segments what then lies in /input and answers 201, or
500 with the cause. `python -m vestibule.serve` is the client that the container's own tests use.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vestibule.errors import InputError

PORT = 4743
"""Where the platform calls."""
HEALTH_SECONDS = 300
"""How long the platform waits for a container to be healthy."""
_MAX_BODY_BYTES = 1 << 20

logger = logging.getLogger(__name__)


def serve(invoke: Callable[[], None], host: str = "0.0.0.0", port: int = PORT) -> None:
    """Answer the platform until a SIGTERM. `invoke` segments one job and raises InputError where that fails."""
    server = make_server(invoke, host, port)
    # As the first process of a container this one would not be ended by a signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with server:
        server.serve_forever()


def make_server(invoke: Callable[[], None], host: str, port: int) -> ThreadingHTTPServer:
    """The server, bound and not yet answering; one job runs at a time, and health is told meanwhile."""
    busy = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*((200, {"status": "ready"}) if self.path == "/health" else (404, {"error": "no such path"})))

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            self.rfile.read(min(int(length), _MAX_BODY_BYTES) if length.isdecimal() else 0)
            if self.path != "/invoke":
                self._answer(404, {"error": "no such path"})
                return
            with busy:
                failure = _attempt(invoke)
            self._answer(*((500, {"error": failure}) if failure else (201, {"status": "done"})))

        def _answer(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(body)

        def log_message(self, format: str, *arguments) -> None:
            logger.debug(format, *arguments)

    return ThreadingHTTPServer((host, port), Handler)


def _attempt(invoke: Callable[[], None]) -> str | None:
    """Run one job; where it fails, one line with the cause, which also goes to stderr. The server lives on."""
    try:
        invoke()
    except InputError as error:
        failure = " ".join(str(error).split())
    except Exception as error:
        logger.debug("the job failed", exc_info=True)
        failure = f"the job failed ({type(error).__name__}: {error})"
    else:
        return None
    print(f"vestibule: error: {failure}", file=sys.stderr, flush=True)
    return failure


def call(port: int = PORT) -> int:
    """Wait until the server on this machine is healthy, have it segment one job, and return the status it answers.

    Raises TimeoutError where it is not healthy within the platform's 300 s.
    """
    # Not through a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + HEALTH_SECONDS
    while True:
        try:
            opener.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"port {port} is not healthy after {HEALTH_SECONDS} s ({error})") from error
            time.sleep(0.1)
    try:
        with opener.open(urllib.request.Request(f"http://127.0.0.1:{port}/invoke", method="POST")) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    status = call()
    print(f"/invoke answered {status}")
    sys.exit(0 if status == 201 else 1)
