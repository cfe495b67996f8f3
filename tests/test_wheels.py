"""What build.sh has pip fetch for each kind of image, with a stand-in for pip and the engine: nothing is downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PIP = """#!/bin/sh
echo "$@" >>"{log}"
folder=$(echo "$@" | sed -n 's/.* -d \\([^ ]*\\).*/\\1/p')
[ -z "$folder" ] || mkdir -p "$folder"
case "$*" in
*torch===*) touch "$folder/torch-0-cp311.whl" "$folder/triton-0-cp311.whl" "$folder/sympy-0.whl" {cuda} ;;
*torch==*) touch "$folder/torch-0{local}-cp311.whl" ;;
esac
"""


@pytest.fixture
def copy(repository, tmp_path) -> Path:
    """What build.sh needs of the repository, in a folder of its own, with bin/docker that plays the engine."""
    folder = tmp_path / "copy"
    for name in ("bin", "requirements/wheels", "vestibule"):
        (folder / name).mkdir(parents=True)
    shutil.copy(repository / "build.sh", folder)
    shutil.copy(repository / "vestibule" / "__init__.py", folder / "vestibule")
    for path in (repository / "requirements").glob("*.txt"):
        shutil.copy(path, folder / "requirements")
    program(folder, "docker", f'#!/bin/sh\necho "$@" >>"{folder}/built"\n')
    return folder


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def build(folder: Path, *arguments: str, cuda: bool = True, local: str = "+cpu") -> subprocess.CompletedProcess[str]:
    libraries = '"$folder/nvidia_cublas-0.whl" "$folder/cuda_bindings-0.whl"' if cuda else ""
    program(folder, "python3", PIP.format(log=folder / "asked", cuda=libraries, local=local))
    variables = {"PATH": os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])}
    environment = {key: value for key, value in os.environ.items() if key != "ENGINE"} | variables
    command = [str(folder / "build.sh"), "--no-weights", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def torch_wheels(folder: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in (folder / "requirements" / "wheels" / "torch").glob("*.whl")}


def asked_for_torch(folder: Path) -> list[str]:
    return [line for line in (folder / "asked").read_text().splitlines() if "torch==" in line]


def test_cuda_wheels_are_torch_and_cudas_libraries_and_the_build_needs_no_network(copy):
    result = build(copy, "--cuda-wheels")
    assert result.returncode == 0, result.stderr
    assert torch_wheels(copy) == {"torch", "nvidia_cublas", "cuda_bindings"}
    (asked,) = asked_for_torch(copy)
    pinned = (copy / "requirements" / "torch.txt").read_text().strip()
    assert asked.endswith(pinned.replace("==", "==="))
    assert "--no-deps" not in asked
    # pip reads a platform as that one alone, and CUDA's libraries are made for older ones too.
    assert {f"manylinux_2_{minor}_x86_64" for minor in range(18, 29)} <= set(asked.split())
    built = (copy / "built").read_text()
    assert "--network none --build-arg OFFLINE=1" in built
    assert "BASE_IMAGE=python:3.11-slim-bookworm" in built


def test_another_torch_and_python_can_be_named_for_cuda(copy):
    result = build(copy, "--cuda-wheels", "--torch", "9.8.7", "--python", "3.12")
    assert result.returncode == 0, result.stderr
    (asked,) = asked_for_torch(copy)
    assert asked.endswith("torch===9.8.7")
    assert "--python-version 3.12" in asked
    assert "BASE_IMAGE=python:3.12-slim-bookworm" in (copy / "built").read_text()


def test_a_torch_without_cuda_is_refused_for_cuda_and_one_with_it_for_the_cpu(copy):
    result = build(copy, "--cuda-wheels", cuda=False)
    assert result.returncode == 1
    assert "no torch 2.13.0 with CUDA" in result.stderr.splitlines()[-1]
    result = build(copy, "--cpu", local="")
    assert result.returncode == 1
    assert "found a torch with CUDA" in result.stderr.splitlines()[-1]
    assert not (copy / "built").exists()


def test_nothing_is_fetched_twice_and_another_kind_of_torch_takes_the_place_of_the_first(copy):
    assert build(copy, "--cpu").returncode == 0
    first = (copy / "asked").read_text()
    assert build(copy, "--cpu").returncode == 0
    assert (copy / "asked").read_text() == first
    assert build(copy, "--cuda-wheels").returncode == 0
    added = (copy / "asked").read_text().removeprefix(first)
    assert len(added.splitlines()) == 1
    assert "torch===" in added
    assert torch_wheels(copy) == {"torch", "nvidia_cublas", "cuda_bindings"}


def test_offline_takes_the_bases_torch_and_fetches_the_rest(copy):
    result = build(copy, "--offline")
    assert result.returncode == 0, result.stderr
    assert asked_for_torch(copy) == []
    assert "--python-version 3.12" in (copy / "asked").read_text()
    built = (copy / "built").read_text()
    assert "OFFLINE=1" in built
    assert "BASE_IMAGE" not in built


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cpu", "--cuda-wheels"), "--cpu and --cuda-wheels exclude each other"),
        (("--cuda-wheels", "--evaluation"), "--evaluation has no torch"),
        (("--cpu", "--torch", "2.7.1"), "--torch is for --cuda-wheels"),
    ],
)
def test_options_that_exclude_each_other_are_usage(copy, options, message):
    result = build(copy, *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (copy / "asked").exists()
