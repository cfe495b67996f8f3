"""How images may lie in the patient, and the command line as a user has it."""

import sys

import pytest
from scipy.spatial.transform import Rotation

from vestibule.cli import main

DIRECTIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    "flipped": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "left-handed": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": tuple(Rotation.from_euler("xyz", (11, -23, 7), degrees=True).as_matrix().ravel().tolist()),
}


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def direction(request: pytest.FixtureRequest) -> tuple[float, ...]:
    """Each of the directions in turn, row-major."""
    return request.param


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command line in this process: exit code, stdout and the lines of stderr, blank ones left out."""

    def run_vestibule(*arguments):
        monkeypatch.setattr(sys, "argv", ["vestibule", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, [line for line in captured.err.splitlines() if line.strip()]

    return run_vestibule
