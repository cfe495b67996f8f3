"""One version of torch: what the images, the set-up and the documentation name is what is tested."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from contract.gpu import GPUS

BASE = re.compile(r"pytorch/pytorch:(?P<torch>[\d.]+)-cuda(?P<cuda>[\d.]+)-cudnn\d+-runtime")
NAMED = re.compile(r"\b(?:torch|TORCH) ?(?:==|:=) ?(\d+\.\d+\.\d+)|torch_requirement\.sh (\d+\.\d+\.\d+)")
TEXTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "Dockerfile", "build.sh", ".ci/run", "docs/**/*.md")


@pytest.fixture(scope="module")
def version(repository) -> str:
    """The version that an image installs, which all others are held to."""
    return (repository / "requirements" / "torch.txt").read_text().strip().removeprefix("torch==")


@pytest.fixture(scope="module")
def base(repository) -> re.Match[str]:
    """The default base image."""
    return BASE.search((repository / "Dockerfile").read_text())


def asked_for(repository: Path) -> Requirement:
    """What the package itself asks for."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    (requirement,) = [line for line in project["dependencies"] if line.startswith("torch>")]
    return Requirement(requirement)


def test_the_base_image_has_the_version_that_is_tested(base, version):
    assert base.group("torch") == version


def test_the_base_image_has_a_cuda_that_the_platforms_usual_gpu_takes(base):
    assert tuple(map(int, base.group("cuda").split("."))) <= GPUS["T4"].newest_cuda


def test_the_set_up_pins_the_version(repository, version):
    assert f"torch=={version}" in (repository / "constraints.txt").read_text().splitlines()
    assert f"TORCH := {version}" in (repository / "Makefile").read_text().splitlines()


def test_the_package_takes_the_version_and_images_nothing_newer(repository, version):
    asked = asked_for(repository)
    assert asked.specifier.contains(version)
    spec = importlib.util.spec_from_file_location("imports", repository / "requirements" / "imports.py")
    imports = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(imports)
    assert f"<{'.'.join(map(str, imports.BELOW_TORCH))}" in str(asked.specifier).split(",")


def test_whatever_names_a_version_or_the_base_names_these(repository, base, version):
    seen = set()
    for pattern in TEXTS:
        for path in repository.glob(pattern):
            text = path.read_text()
            named = {one or other for one, other in NAMED.findall(text)}
            assert named <= {version}, f"{path} names torch {named}"
            images = {match.group() for match in BASE.finditer(text)}
            assert images <= {base.group()}, f"{path} names {images}"
            if named or images:
                seen.add(path.name)
    assert {"README.md", "Makefile", "Dockerfile", "container.md"} <= seen
