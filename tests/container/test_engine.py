"""The reasons for which no engine can run here, each named; no engine is needed for these tests."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

_spec = importlib.util.spec_from_file_location("engine", Path(__file__).with_name("engine.py"))
engine_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(engine_module)


def program(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_client_of_the_package_comes_before_another_on_the_path(tmp_path, monkeypatch):
    own, other = program(tmp_path / "usr", "docker"), program(tmp_path / "local", "docker")
    monkeypatch.setenv("PATH", os.path.dirname(other))
    assert engine_module.find_client((str(tmp_path / "usr"),)) == own
    assert engine_module.find_client((str(tmp_path / "none"),)) == other


def test_the_client_beside_the_daemon_comes_before_another_on_the_path(tmp_path, monkeypatch):
    other, daemon = program(tmp_path / "local", "docker"), program(tmp_path / "opt", "dockerd")
    beside = program(tmp_path / "opt", "docker")
    monkeypatch.setenv("PATH", os.pathsep.join(map(os.path.dirname, (other, daemon))))
    assert engine_module.find_client(()) == beside


def test_no_client_at_all_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(engine_module.EngineMissingError, match="no docker program"):
        engine_module.find_client(())


def test_a_user_who_is_not_root_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(engine_module.EngineMissingError, match="not root"):
        engine_module.Engine(tmp_path).start()


def test_a_disk_without_room_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(engine_module, "APT_SOURCES", Path(__file__))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2e9))
    with pytest.raises(engine_module.EngineMissingError, match=r"2\.0 GB of disk free, 10\.7 GB needed"):
        engine_module.Engine(tmp_path).start()


def test_a_base_that_debian_does_not_give_is_named(tmp_path, monkeypatch):
    failing = Path(program(tmp_path / "bin", "mmdebstrap"))
    failing.write_text("#!/bin/sh\necho E: no mirror >&2\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(engine_module.EngineMissingError, match="no base image: E: no mirror"):
        engine_module.Engine(tmp_path).make_base()


def test_packages_that_cannot_be_had_are_named(tmp_path, monkeypatch):
    program(tmp_path / "bin", "apt-get")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(engine_module.EngineMissingError, match="apt-get could not install dockerd, mmdebstrap"):
        engine_module._install_packages()


def test_a_command_without_an_engine_ends_with_a_code_of_its_own_and_the_reason(tmp_path):
    code = "import os, runpy, sys; os.geteuid = lambda: 1000; runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [sys.executable, "-c", code, engine_module.__file__]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (75, "no container engine: not root\n")
