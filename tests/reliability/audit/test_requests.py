"""Boundary: requests. Whoever calls the server cannot end it, fill its memory, or make it write a traceback.

A SIGTERM amid a job is in tests/vestibule/test_serve.py.
"""

import socket
import threading

import pytest

from vestibule.serve import make_server

IDLE_S = 0.3
"""How long the server under test waits for a slow caller."""


@pytest.fixture
def server():
    jobs = []
    made = make_server(lambda: jobs.append(1), lambda failure: None, "127.0.0.1", 0, IDLE_S)
    made.jobs = jobs
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def answer_to(server, content):
    """The first line of what the server answers to bytes."""
    with socket.create_connection(server.server_address[:2], timeout=10) as caller:
        caller.sendall(content)
        caller.shutdown(socket.SHUT_WR)
        return caller.makefile("rb").readline().decode()


def post(length, body=b"", path="/invoke"):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "length", ["99999999999", "9" * 5000, "-1", "1e3", "0x10", "٣", ""], ids=lambda text: text[:12]
)
def test_body_of_an_absurd_length_is_refused_unread(server, length):
    content = f"POST /invoke HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()
    assert " 413 " in answer_to(server, content)
    assert " 200 " in answer_to(server, b"GET /health HTTP/1.1\r\n\r\n")


def test_body_is_read_and_ignored(server):
    assert " 201 " in answer_to(server, post(4, b"{}\r\n"))
    assert server.jobs == [1]


@pytest.mark.parametrize(
    ("headers", "status"),
    [(b"X: " + b"a" * 70_000 + b"\r\n", 431), (b"X: a\r\n" * 200, 431)],
    ids=["long header", "many headers"],
)
def test_headers_that_are_too_large_are_refused(server, headers, status):
    assert f" {status} " in answer_to(server, b"POST /invoke HTTP/1.1\r\n" + headers + b"\r\n")
    assert not server.jobs
    assert " 200 " in answer_to(server, b"GET /health HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/invoke", "POST"),
        ("PUT", "/invoke", "POST"),
        ("DELETE", "/invoke", "POST"),
        ("POST", "/health", "GET"),
        ("HEAD", "/health", "GET"),
        ("PATCH", "/health", "GET"),
        ("BREW", "/health", "GET"),
    ],
)
def test_another_method_is_told_which_is_allowed(server, method, path, allowed):
    with socket.create_connection(server.server_address[:2], timeout=10) as caller:
        caller.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        told = caller.makefile("rb").read().decode()
    assert " 405 " in told.splitlines()[0]
    assert f"Allow: {allowed}" in told
    assert not server.jobs


def test_body_that_is_shorter_than_promised_starts_no_job(server):
    assert " 400 " in answer_to(server, post(50, b"cut"))
    assert not server.jobs


def test_slow_callers_keep_nobody_waiting_and_are_given_up(server):
    slow = []
    for begun in (b"POST /inv", b"GET /health HTTP/1.1\r\nHost", post(50, b"slow")):
        caller = socket.create_connection(server.server_address[:2], timeout=10)
        caller.sendall(begun)
        slow.append(caller)
    assert " 200 " in answer_to(server, b"GET /health HTTP/1.1\r\n\r\n")
    assert " 201 " in answer_to(server, post(0))
    # The server ends each of them, which the caller sees as the end of the answer.
    answers = [caller.makefile("rb").read() for caller in slow]
    assert answers[:2] == [b"", b""]
    assert b" 408 " in answers[2].splitlines()[0]
    assert server.jobs == [1]
    for caller in slow:
        caller.close()


@pytest.mark.parametrize(
    "content",
    [b"\x00\xff\r\n\r\n", b"GET " + b"a" * 70_000 + b"\r\n\r\n", b"DELETE /invoke HTTP/1.1\r\n\r\n", post(50, b"cut")],
    ids=["no request", "endless path", "other method", "body cut short"],
)
def test_what_is_no_request_ends_no_server_and_tells_no_traceback(server, content, capfd):
    answer_to(server, content)
    assert " 200 " in answer_to(server, b"GET /health HTTP/1.1\r\n\r\n")
    assert capfd.readouterr().err == ""


def test_caller_that_goes_before_the_answer_is_no_error(server, capfd):
    for _ in range(3):
        caller = socket.create_connection(server.server_address[:2], timeout=10)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        caller.sendall(post(0))
        # With a reset in place of a goodbye.
        caller.close()
    assert " 200 " in answer_to(server, b"GET /health HTTP/1.1\r\n\r\n")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("path", ["/../etc/passwd", "/health/../invoke", "/%2e%2e/"])
def test_other_paths_are_not_there(server, path):
    assert " 404 " in answer_to(server, f"GET {path} HTTP/1.1\r\n\r\n".encode())
    assert " 404 " in answer_to(server, post(0, path=path))
    assert not server.jobs
