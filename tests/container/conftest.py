"""The engine, the base and our own image, made once for all container tests."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
IMAGE = "localhost/vestibule:test"
_spec = importlib.util.spec_from_file_location("engine", HERE / "engine.py")
engine_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(engine_module)


class ExistingEngine:
    """The engine that VESTIBULE_TEST_BASE says is there; it is left as it is."""

    program = "docker"

    def __init__(self) -> None:
        self.environment = dict(os.environ)

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True)


@pytest.fixture(scope="session")
def engine() -> Iterator:
    """An engine that is up, callable with docker's arguments. Skips with the reason where none can be, but for CI."""
    if engine_module.BASE_VARIABLE in os.environ:
        yield ExistingEngine()
        return
    try:
        with engine_module.own_engine() as own, pytest.MonkeyPatch.context() as patch:
            own.make_base()
            for name in ("DOCKER_HOST", "DOCKER_BUILDKIT", "PATH", engine_module.BASE_VARIABLE):
                patch.setenv(name, own.environment[name])
            yield own
    except engine_module.EngineMissingError as reason:
        if os.environ.get("CI"):
            pytest.fail(f"no container engine: {reason}")
        pytest.skip(f"no container engine: {reason}")


@pytest.fixture(scope="session")
def base(engine) -> str:
    """Name of a plain base image with python3."""
    return engine.environment[engine_module.BASE_VARIABLE]


@pytest.fixture(scope="session")
def bundle(repository) -> Path:
    """The bundle of weights that is put into the image: the one that the repository has."""
    return repository / "weights" / "phantom"


@pytest.fixture(scope="session")
def image(engine, base, bundle, repository) -> str:
    """Our own image, built by build.sh for the CPU."""
    command = ["./build.sh", "--cpu", "--base", base, "--weights", str(bundle), "--tag", IMAGE]
    built = subprocess.run(command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return IMAGE


@pytest.fixture(scope="session")
def toy(engine, base):
    """Builds the small stand-in submission, broken in a named way; returns its name."""

    def build(broken: str = "", run_as: str = "1000:1000", api: str = "exec") -> str:
        name = f"localhost/toy:{broken or 'good'}-{run_as.split(':')[0]}-{api}"
        arguments = {"BASE_IMAGE": base, "BROKEN": broken, "RUN_AS": run_as, "API": api}
        flags = [flag for key, value in arguments.items() for flag in ("--build-arg", f"{key}={value}")]
        engine("build", "--network", "none", *flags, "--tag", name, str(HERE / "toy"))
        return name

    return build
