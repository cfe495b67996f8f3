"""Calls the server of `vestibule.serve`, or of any image with the platform's `invoke` style, as the platform does.

`python -m vestibule.client` waits until the server on this machine is healthy, has it do one job, and ends with 0 where
it answers 201. Standard library alone, and no part of this package: the text of this file runs in any image that has
Python.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

PORT = 4743
"""Where the platform calls."""
HEALTH_SECONDS = 300
"""How long the platform waits for a container to be healthy."""


def call(port: int = PORT) -> int:
    """Wait until the server on this machine is healthy, have it do one job, and return the status it answers.

    Raises TimeoutError where it is not healthy within the platform's 300 s.
    """
    # Not through a proxy, whatever the environment says.
    no_proxy = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(no_proxy)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + HEALTH_SECONDS
    while True:
        try:
            opener.open(f"{address}/health", timeout=5).close()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"port {port} is not healthy after {HEALTH_SECONDS} s ({error})") from error
            time.sleep(0.1)
    job = urllib.request.Request(f"{address}/invoke", method="POST")
    try:
        with opener.open(job) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    status = call()
    print(f"/invoke answered {status}")
    sys.exit(0 if status == 201 else 1)
