"""What is hostile: names, pipes, and a limit on how long anything may wait."""

import signal

import numpy as np
import pytest

from vestibule.cli import main
from vestibule.geometry import Geometry
from vestibule.volume import Volume, write_volume

STEERING = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066")
"""The beginning of a terminal's command, its bell, a short form of the first, and two that turn writing round."""
HOSTILE = "case\x1b[2J\u202e<img src=x onerror=alert(1)>"
"""What a file, a case or a team may be called: clears the screen, runs backwards, and is an element of a page."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SECONDS = 60


class HangError(BaseException):
    """Nothing that a command catches."""


@pytest.fixture(autouse=True)
def _no_hang():
    """Fail a test that waits for what never comes."""

    def late(*_):
        raise HangError(f"still waiting after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; exit code, and all that it printed."""

    def run_command(*arguments):
        monkeypatch.setattr("sys.argv", ["vestibule", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        told = capsys.readouterr()
        return code, told.out + told.err

    return run_command


@pytest.fixture
def save_mask():
    """Write a mask with both structures; other `values` are other labels."""

    def save(path, values=(1, 2), moved=0):
        voxels = np.zeros((6, 16, 16), np.uint8)
        voxels[2:4, 3 + moved : 8 + moved, 3:8] = values[0]
        voxels[2:4, 10:13, 10:13] = values[1]
        write_volume(path, Volume(voxels, Geometry(voxels.shape, (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), IDENTITY)))
        return path

    return save
