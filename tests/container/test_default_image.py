"""The default image, on a base that is as PyTorch's own: torch in the system's packages, which pip may not touch."""

import json
import subprocess

import pytest

pytestmark = pytest.mark.container

BASE = "localhost/pytorch-base:test"
IMAGE = "localhost/vestibule:default"
OTHER_PROCESSOR_VOXELS = "10"
"""Of the kept mask: so many may lie on a border that another processor's rounding moves."""


def script(engine, repository, *command: str) -> str:
    done = subprocess.run(command, cwd=repository, env=engine.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def asked(engine, image: str, code: str) -> dict:
    flags = ("--rm", "--network", "none", "--entrypoint", "python3")
    result = engine("run", *flags, image, "-c", f"import json; {code}", check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def pytorch_base(engine, base, image, repository) -> str:
    """A base as PyTorch's, of the plain base and the wheels that the image for the CPU was built from."""
    folder = repository / "tests" / "container" / "pytorch_base"
    wheels = str(repository / "requirements")
    arguments = ("--network", "none", "--build-arg", f"BASE_IMAGE={base}", "--file", str(folder / "Dockerfile"))
    engine("build", *arguments, "--tag", BASE, wheels)
    return BASE


@pytest.fixture(scope="module")
def default_image(engine, pytorch_base, repository) -> str:
    """The image as `./build.sh` alone makes it, but that nothing is downloaded while it is built."""
    told = asked(engine, pytorch_base, "import sys; print(json.dumps({'python': sys.version_info[:2]}))")
    python = ".".join(map(str, told["python"]))
    script(engine, repository, "./build.sh", "--offline", "--python", python, "--base", pytorch_base, "--tag", IMAGE)
    return IMAGE


def test_the_base_is_as_pytorchs(engine, pytorch_base):
    code = """
import importlib.util as u, pathlib, sysconfig, torch
found = u.find_spec('ensurepip'), u.find_spec('pip')
marked = pathlib.Path(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED').exists()
print(json.dumps({'ensurepip': found[0] is not None, 'pip': found[1] is not None, 'marked': marked}))
"""
    assert asked(engine, pytorch_base, code) == {"ensurepip": False, "pip": True, "marked": True}


def test_it_keeps_the_bases_torch_and_brings_everything_else(engine, default_image):
    code = "import numpy, torch; print(json.dumps({'torch': torch.__file__, 'numpy': numpy.__file__}))"
    found = asked(engine, default_image, code)
    assert not found["torch"].startswith("/opt/venv/")
    assert found["numpy"].startswith("/opt/venv/")


def test_it_predicts_the_kept_case(engine, default_image, repository):
    told = script(engine, repository, "./test.sh", "--tag", default_image, "--allow-voxels", OTHER_PROCESSOR_VOXELS)
    assert "passed" in told
