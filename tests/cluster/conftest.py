"""A real Slurm, made once for all tests that need one."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("slurm", HERE / "slurm.py")
slurm_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slurm_module)


class ExistingSlurm:
    """The Slurm whose node VESTIBULE_TEST_SLURM names; it is left as it is."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.node = os.environ[slurm_module.NODE_VARIABLE]

    def __call__(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def slurm() -> Iterator:
    """A Slurm that is up, callable with its commands. Skips with the reason where none can be, but for CI."""
    if slurm_module.NODE_VARIABLE in os.environ:
        yield ExistingSlurm()
        return
    try:
        with slurm_module.own_slurm() as own:
            yield own
    except slurm_module.SlurmMissingError as reason:
        if os.environ.get("CI"):
            pytest.fail(f"no Slurm: {reason}")
        pytest.skip(f"no Slurm: {reason}")
