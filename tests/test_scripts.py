"""build.sh, test.sh and export.sh with a stand-in for docker: what they pass on, and that no failure stays silent."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from vestibule.volume import Geometry, Volume, write_volume

SCRIPTS = ("build.sh", "test.sh", "export.sh")
ALL_SCRIPTS = (*SCRIPTS, "requirements/install.sh")
GEOMETRY = Geometry((4, 5, 6), (1.5, 0.5, 0.5), (1.0, 2.0, 3.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.fixture
def stand_in(tmp_path, repository) -> Path:
    """A folder with `bin/docker`, and what the stand-in image writes."""
    folder = tmp_path / "stand_in"
    (folder / "bin").mkdir(parents=True)
    docker = folder / "bin" / "docker"
    docker.write_text(f'#!/bin/sh\nexec {sys.executable} {repository}/tests/stand_in_docker.py "$@"\n')
    docker.chmod(0o755)
    (folder / "code").write_text("0")
    write_output(folder / "mask")
    return folder


def write_output(folder: Path, voxel: int = 1) -> Path:
    mask = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    mask[2, 2, 2] = voxel
    write_volume(folder / "images" / "vs" / "mask.mha", Volume(mask, GEOMETRY))
    (folder / "results.json").write_text("[]")
    return folder


def run_script(repository: Path, stand_in: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(stand_in / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    variables = {"PATH": os.pathsep.join(paths), "STAND_IN": str(stand_in), "STAND_IN_PYTHON": sys.executable}
    environment = {key: value for key, value in os.environ.items() if key != "ENGINE"} | variables
    command = [str(repository / name), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def calls(stand_in: Path) -> str:
    return (stand_in / "log").read_text()


def small_bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"files": {}}))
    return folder


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_names_every_option_and_a_wrong_one_is_usage(repository, stand_in, name):
    text = run_script(repository, stand_in, name, "--help")
    assert text.returncode == 0
    assert "--tag NAME" in text.stdout
    wrong = run_script(repository, stand_in, name, "--nonsense")
    assert (wrong.returncode, "--nonsense" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_engine_is_named(repository, stand_in, name):
    (stand_in / "bin" / "docker").unlink()
    programs = stand_in / "bin"
    for program in ("bash", "dirname", "cat", "rm"):
        (programs / program).symlink_to(shutil.which(program))
    environment = {"PATH": str(programs), "HOME": "/"}
    command = ["bash", str(repository / name)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "neither docker nor podman found" in result.stderr


def test_build_puts_the_bundle_and_the_call_style_into_the_image(repository, stand_in, tmp_path):
    bundle = small_bundle(tmp_path / "bundle")
    result = run_script(repository, stand_in, "build.sh", "--weights", bundle, "--base", "b:1")
    assert result.returncode == 0, result.stderr
    assert (stand_in / "built_with").read_text() == "manifest.json"
    assert " API=" not in calls(stand_in)
    for argument in ("API_METHOD=invoke", "BASE_IMAGE=b:1", "--tag vestibule:latest", "--platform linux/amd64"):
        assert argument in calls(stand_in)
    staged = next(word for word in calls(stand_in).split() if word.startswith("WEIGHTS=")).removeprefix("WEIGHTS=")
    assert not (repository / staged).exists()


@pytest.mark.parametrize("kind", [(), ("--evaluation",)])
def test_an_image_for_the_older_style_never_serves(repository, stand_in, kind):
    result = run_script(repository, stand_in, "build.sh", *kind, "--no-weights", "--api", "exec")
    assert result.returncode == 0, result.stderr
    assert "API_METHOD=exec" in calls(stand_in)
    assert " API=exec" in calls(stand_in)


def test_build_of_the_evaluation_takes_its_own_file_and_no_weights(repository, stand_in):
    result = run_script(repository, stand_in, "build.sh", "--evaluation", "--base", "b:1")
    assert result.returncode == 0, result.stderr
    assert "--file evaluation/Dockerfile" in calls(stand_in)
    assert "--tag vestibule-evaluation:latest" in calls(stand_in)
    assert "WEIGHTS" not in calls(stand_in)


def test_build_has_dicom_only_where_it_is_asked_for(repository, stand_in):
    assert run_script(repository, stand_in, "build.sh", "--no-weights").returncode == 0
    assert "DICOM" not in calls(stand_in)
    assert run_script(repository, stand_in, "build.sh", "--no-weights", "--dicom").returncode == 0
    assert "--build-arg DICOM=1" in calls(stand_in)
    wrong = run_script(repository, stand_in, "build.sh", "--evaluation", "--dicom")
    assert wrong.returncode == 2
    assert "--dicom is of the submission's image" in wrong.stderr


def test_what_dicom_adds_to_the_image_is_what_the_package_asks_for(repository):
    lists = {}
    for name in ("inference", "evaluation", "dicom"):
        lines = (repository / "requirements" / f"{name}.in").read_text().split()
        lists[name] = dict(line.lower().split("==") for line in lines)
    added = lists["dicom"]
    # The extra's own packages, and of their dependencies and the command's what inference lacks.
    asked = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dicom"]
    extra = [Requirement(line) for line in asked]
    assert {requirement.name for requirement in extra} | {"pyjpegls", "rich"} <= set(added)
    assert all(requirement.specifier.contains(added[requirement.name]) for requirement in extra)
    # One package has one version everywhere, and nothing is installed twice.
    assert not set(added) & set(lists["inference"])
    for name, version in added.items():
        assert lists["evaluation"].get(name, version) == version
    locked = (repository / "requirements" / "dicom.txt").read_text().splitlines()[1:]
    names = {line.split()[0].replace("-", "_") for line in locked}
    assert names == {f"{name.replace('-', '_')}=={version}" for name, version in added.items()}
    assert all("--hash=sha256:" in line for line in locked)


def test_build_without_weights_leaves_their_folder_empty(repository, stand_in):
    assert run_script(repository, stand_in, "build.sh", "--no-weights").returncode == 0
    assert (stand_in / "built_with").read_text() == ""


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda bundle: (bundle / "manifest.json").unlink(), "manifest.json is missing"),
        (
            lambda bundle: (bundle / "a.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "git lfs",
        ),
        (shutil.rmtree, "no such folder of weights"),
    ],
)
def test_build_refuses_weights_that_are_not_there(repository, stand_in, tmp_path, spoil, named):
    bundle = small_bundle(tmp_path / "bundle")
    spoil(bundle)
    result = run_script(repository, stand_in, "build.sh", "--weights", bundle)
    assert result.returncode == 1
    assert named in result.stderr.splitlines()[-1]
    assert not (stand_in / "log").exists()


def run_test(repository, stand_in, tmp_path, *more: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "input").mkdir(exist_ok=True)
    folders = ("--input", tmp_path / "input", "--expected", tmp_path / "expected")
    return run_script(repository, stand_in, "test.sh", *folders, *more)


def test_an_expected_output_passes_in_the_sandbox(repository, stand_in, tmp_path):
    write_output(tmp_path / "expected")
    result = run_test(repository, stand_in, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "passed" in result.stdout
    assert "wall time" in result.stdout
    assert "peak memory not measurable here" in result.stdout
    run = next(line for line in calls(stand_in).splitlines() if "--detach" in line)
    flags = ("--network none", "--cap-drop ALL", "no-new-privileges", "--pids-limit 256", "--shm-size 128m")
    for flag in (*flags, "--memory 4g", "--memory-swap 4g", "--read-only", "--tmpfs /tmp", ":/input:ro"):
        assert flag in run
    assert "rm --force c0ffee" in calls(stand_in)


def test_one_other_voxel_fails(repository, stand_in, tmp_path):
    write_output(tmp_path / "expected", voxel=2)
    result = run_test(repository, stand_in, tmp_path)
    assert result.returncode == 1
    assert "differs in 1 of 120 voxels" in result.stdout
    assert run_test(repository, stand_in, tmp_path, "--allow-voxels", "1").returncode == 0


def test_a_missing_output_fails(repository, stand_in, tmp_path):
    write_output(tmp_path / "expected")
    (stand_in / "mask" / "results.json").unlink()
    result = run_test(repository, stand_in, tmp_path)
    assert result.returncode == 1
    assert "results.json is missing" in result.stdout


def test_a_failed_run_fails_with_its_code(repository, stand_in, tmp_path):
    write_output(tmp_path / "expected")
    (stand_in / "code").write_text("137")
    result = run_test(repository, stand_in, tmp_path)
    assert result.returncode == 1
    assert "exit code 137, killed: out of memory?" in result.stderr.splitlines()[-1]


def test_an_image_that_is_not_there_is_named(repository, stand_in, tmp_path):
    write_output(tmp_path / "expected")
    result = run_test(repository, stand_in, tmp_path, "--tag", "absent:latest")
    assert result.returncode == 1
    assert "absent:latest: no such image" in result.stderr


def test_update_keeps_the_output_as_expected(repository, stand_in, tmp_path):
    assert run_test(repository, stand_in, tmp_path, "--update").returncode == 0
    assert (tmp_path / "expected" / "images" / "vs" / "mask.mha").is_file()
    assert run_test(repository, stand_in, tmp_path).returncode == 0


def run_outside(repository, tmp_path, *more: str) -> subprocess.CompletedProcess[str]:
    """test.sh without an engine, with a stand-in for process.py that writes one mask."""
    python = tmp_path / "python"
    mask = tmp_path / "mask"
    write_output(mask)
    play = f'[ "$1" != process.py ] || exec cp -R "{mask}/." "$5"\nexec {sys.executable} "$@"\n'
    python.write_text(f"#!/bin/sh\n{play}")
    python.chmod(0o755)
    command = [repository / "test.sh", "--outside", "--input", tmp_path, "--expected", tmp_path / "expected", *more]
    environment = os.environ | {"PYTHON": str(python), "ENGINE": "no-such-engine"}
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)


def test_without_an_engine_the_kept_output_is_renewed_and_compared(repository, tmp_path):
    updated = run_outside(repository, tmp_path, "--update")
    assert updated.returncode == 0, updated.stderr
    assert (tmp_path / "expected" / "images" / "vs" / "mask.mha").is_file()
    assert run_outside(repository, tmp_path).returncode == 0
    write_output(tmp_path / "expected", voxel=2)
    other = run_outside(repository, tmp_path)
    assert other.returncode == 1
    assert "differs in 1 of 120 voxels" in other.stdout


def saved_image(stand_in: Path, user: str = "1000:1000") -> None:
    config = {"architecture": "amd64", "os": "linux", "config": {"User": user, "Entrypoint": ["p"], "Labels": {}}}
    folder = stand_in / "saved"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps([{"Config": "c.json", "Layers": []}]))
    (folder / "c.json").write_text(json.dumps(config))
    with tarfile.open(stand_in / "image.tar", "w") as archive:
        archive.add(folder, arcname=".", filter=lambda member: member)
        for name in ("manifest.json", "c.json"):
            archive.add(folder / name, arcname=name)


def test_export_writes_a_verified_archive_and_its_sha256(repository, stand_in, tmp_path):
    saved_image(stand_in)
    result = run_script(repository, stand_in, "export.sh", "--output", tmp_path / "x.tar.gz")
    assert result.returncode == 0, result.stderr
    check = subprocess.run(["sha256sum", "--check", "x.tar.gz.sha256"], cwd=tmp_path, check=False, capture_output=True)
    assert check.returncode == 0
    assert sorted(path.name for path in tmp_path.glob("x*")) == ["x.tar.gz", "x.tar.gz.sha256"]


def test_export_of_a_root_image_leaves_no_archive(repository, stand_in, tmp_path):
    saved_image(stand_in, user="root")
    result = run_script(repository, stand_in, "export.sh", "--output", tmp_path / "x.tar.gz")
    assert result.returncode == 1
    assert "runs as root" in result.stderr
    assert list(tmp_path.glob("x*")) == []


def test_a_failed_save_leaves_no_archive(repository, stand_in, tmp_path):
    result = run_script(repository, stand_in, "export.sh", "--output", tmp_path / "x.tar.gz")
    assert result.returncode != 0
    assert list(tmp_path.glob("x*")) == []


def test_weights_are_packed_with_the_manifest_at_the_top_and_the_same_each_time(repository, stand_in, tmp_path):
    bundle = small_bundle(tmp_path / "bundle")
    for name in ("a.tar.gz", "b.tar.gz"):
        result = run_script(repository, stand_in, "export.sh", "--weights", bundle, "--output", tmp_path / name)
        assert result.returncode == 0, result.stderr
        os.utime(bundle / "manifest.json", (0, 0))
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert "./manifest.json" in archive.getnames()


@pytest.mark.parametrize("name", ["inference", "evaluation"])
def test_the_locks_pin_what_the_tests_run_with(repository, name):
    pinned = set((repository / "constraints.txt").read_text().lower().replace("_", "-").split())
    lines = (repository / "requirements" / f"{name}.txt").read_text().splitlines()[1:]
    wanted = (repository / "requirements" / f"{name}.in").read_text().lower().replace("_", "-").split()
    assert sorted(line.split()[0] for line in lines) == sorted(wanted)
    assert all("--hash=sha256:" in line for line in lines)
    assert {line.split()[0] for line in lines} <= pinned
    assert (repository / "requirements" / "torch.txt").read_text().strip() in pinned


def test_scripts_stop_at_the_first_error(repository):
    for name in SCRIPTS:
        text = (repository / name).read_text()
        assert "\nset -euo pipefail\n" in text
        assert "\ntrap " in text


def test_an_image_gets_what_it_runs_from_and_nothing_else(repository):
    lines = (repository / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert allowed == {"process.py", "vestibule", "evaluation", "requirements", "weights", "build/weights.*"}
    assert {"**/.git*", "**/*.tar", "**/*.tar.gz"} <= set(lines)


def linter(name: str) -> str:
    program = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        assert "CI" not in os.environ, f"{name} must be installed where CI is set"
        pytest.skip(f"{name} is not installed")
    return program


def test_scripts_pass_shellcheck(repository):
    command = [linter("shellcheck"), *(str(repository / name) for name in ALL_SCRIPTS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "evaluation/Dockerfile",
        "tests/container/toy/Dockerfile",
        "tests/container/pytorch_base/Dockerfile",
    ],
)
def test_dockerfiles_pass_hadolint(repository, name):
    result = subprocess.run([linter("hadolint"), str(repository / name)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("torch", "asked"), [("2.13.0+cpu", True), ("2.13.0", False), ("2.13.0+cu130", False)])
def test_torchvision_is_the_cpu_build_only_where_torch_is(repository, tmp_path, torch, asked):
    log = tmp_path / "log"
    python = tmp_path / "python"
    # Asked with -c for torch's version, it tells one; what else it is asked, it notes.
    python.write_text(f'#!/bin/sh\ncase $1 in -c) echo {torch} ;; *) echo "$@" >>{log} ;; esac\n')
    python.chmod(0o755)
    subprocess.run([repository / "tools" / "torchvision.sh", python, "0.28.0"], check=True)
    assert log.exists() == asked
    if asked:
        assert log.read_text().split()[-2:] == ["--no-deps", "torchvision==0.28.0+cpu"]


def test_torchvision_of_the_set_up_is_the_one_that_was_tested(repository):
    makefile = (repository / "Makefile").read_text()
    constraints = (repository / "constraints.txt").read_text().splitlines()
    for package in ("torch", "torchvision"):
        version = re.search(rf"^{package.upper()} := (\S+)$", makefile, re.MULTILINE).group(1)
        assert f"{package}=={version}" in constraints
