"""Calls the server of `vestibule.serve`, or of any image with the platform's `invoke` style, as the platform does.

    python -m vestibule.client [both|health|invoke] [SECONDS] [PORT]

`health` waits until the server on this machine is healthy, at most SECONDS, `invoke` has it do one job, and `both` does
one after the other. Prints what was answered. Exit codes: 0 it was 200 and 201, 1 the job failed, 3 the server was not
healthy in time, 4 /health led elsewhere. Standard library alone, and no part of this package: the text of this file
runs in any image that has Python.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

PORT = 4743
"""Where the platform calls."""
HEALTH_SECONDS = 300.0
"""How long the platform waits for a container to be healthy."""
CALL_SECONDS = 10.0
"""How long it waits for one answer of /health."""
NOT_HEALTHY, REDIRECTED = 3, 4
"""Exit codes beside 0 and 1."""


class RedirectError(Exception):
    """/health answers with another address, which the platform does not go to."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Goes to no other address, as the platform does not."""

    def redirect_request(self, *_: object) -> None:
        """None: the answer is an error."""


def call(port: int = PORT, limit_s: float = HEALTH_SECONDS) -> int:
    """Wait until the server on this machine is healthy, have it do one job, and return the status it answers.

    Args:
        port: Where the server listens.
        limit_s: How long to wait until it is healthy.

    Raises:
        TimeoutError: It is not healthy within that time.
        RedirectError: Its /health leads elsewhere.
    """
    wait_until_healthy(port, limit_s)
    return invoke(port)


def wait_until_healthy(port: int = PORT, limit_s: float = HEALTH_SECONDS) -> float:
    """Ask for the health of the server on this machine until it is told. Returns after how many seconds.

    Raises as `call` does.
    """
    started = time.monotonic()
    while True:
        try:
            _opener().open(f"http://127.0.0.1:{port}/health", timeout=CALL_SECONDS).close()
            return time.monotonic() - started
        except urllib.error.HTTPError as error:
            if 300 <= error.code < 400:
                raise RedirectError(f"/health answered {error.code}, which leads elsewhere") from error
            cause = str(error)
        except OSError as error:
            cause = str(error)
        if time.monotonic() - started > limit_s:
            raise TimeoutError(f"port {port} is not healthy after {limit_s:g} s ({cause})")
        time.sleep(0.1)


def invoke(port: int = PORT) -> int:
    """Have the server on this machine do one job, and return what it answers. Raises OSError where nothing comes."""
    job = urllib.request.Request(f"http://127.0.0.1:{port}/invoke", method="POST")
    try:
        with _opener().open(job) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def _opener() -> urllib.request.OpenerDirector:
    """Asks this machine itself, not through a proxy, whatever the environment says."""
    no_proxy = urllib.request.ProxyHandler({})
    return urllib.request.build_opener(no_proxy, _NoRedirect())


def main(what: str = "both", limit_s: str = str(HEALTH_SECONDS), port: str = str(PORT)) -> int:
    """Do what the command line says. Returns the exit code."""
    try:
        if what != "invoke":
            seconds = wait_until_healthy(int(port), float(limit_s))
            print(f"/health answered 200 after {seconds:.1f} s")
        if what != "health":
            status = invoke(int(port))
            print(f"/invoke answered {status}")
            return 0 if status == 201 else 1
    except RedirectError as error:
        print(error)
        return REDIRECTED
    except TimeoutError as error:
        print(error)
        return NOT_HEALTHY
    except OSError as error:
        print(f"/invoke was not answered ({error})")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
