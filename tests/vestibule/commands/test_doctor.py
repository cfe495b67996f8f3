"""What is told of a machine, here and where packages, engines or disks are missing."""

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from vestibule.doctor import BROKEN, GOOD, NEEDED, NOTE, OPTIONAL, examine, is_built_for

TOPICS = ["machine", "memory", "python", "packages", "torch", "gpu", "weights", "disk", "temporary files"]
TOPICS += ["shared memory", "container engine", "slurm", "text"]
WITHOUT = """
import sys
import tomllib
for name in {missing!r}:
    sys.modules[name] = None
import importlib.metadata
own = importlib.metadata.version
def version(name):
    if name in {missing!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return own(name)
importlib.metadata.version = version
sys.argv = ["vestibule", "doctor"]
from vestibule.cli import main
main()
"""


def found(topic, folder):
    (finding,) = [finding for finding in examine(folder) if finding.topic == topic]
    return finding


def doctor(repository, missing=(), *options, **environment):
    """Run the command in a process that lacks modules."""
    code = WITHOUT.format(missing=list(missing)).replace('"doctor"]', f'"doctor", *{list(options)!r}]')
    variables = {**os.environ, "PYTHONPATH": str(repository), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=False)


def test_machine_on_which_the_tests_run_is_usable_and_told_as_json(repository):
    ended = doctor(repository, (), "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert document["usable"]
    topics = [finding["topic"] for finding in document["findings"]]
    assert [topic for topic in topics if topic in TOPICS] == TOPICS
    for finding in document["findings"]:
        assert finding["status"] in (GOOD, NOTE)
        assert finding["found"]
        assert bool(finding["remedy"]) == (finding["status"] == NOTE)


def test_bare_install_is_told_what_it_lacks_without_a_traceback(repository):
    missing = ["torch", "nnunetv2", "numpy", "scipy", "SimpleITK", "nibabel", "safetensors", "rich", "isal", "yaml"]
    ended = doctor(repository, missing)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("vestibule: error: no image can be segmented here: packages, torch")
    assert "not there: isal, nibabel, nnunetv2, numpy, rich" in ended.stdout
    assert "-> pip install 'vestibule'" in ended.stdout


@pytest.mark.parametrize(
    ("script", "told", "status"),
    [("exit 0", "docker", GOOD), ("echo no daemon >&2; exit 1", "docker: no daemon", NOTE), (None, "none", NOTE)],
)
def test_engine_is_one_that_answers(tmp_path, monkeypatch, script, told, status):
    if script is not None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin" if script else str(tmp_path))
    monkeypatch.delenv("ENGINE", raising=False)
    finding = found("container engine", tmp_path)
    assert (finding.status, finding.found) == (status, told)


def test_job_of_slurm_is_told_with_its_share(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "12")
    assert found("slurm", tmp_path).found == "job 7, 12 cores a task"


def test_folder_that_is_not_there_and_no_bundle_are_notes(tmp_path, monkeypatch):
    monkeypatch.setenv("VESTIBULE_WEIGHTS", str(tmp_path / "none"))
    assert found("disk", tmp_path / "gone").status == NOTE
    weights = found("weights", tmp_path)
    assert weights.status == NOTE
    assert "VESTIBULE_WEIGHTS names it" in weights.found


@pytest.mark.parametrize(
    ("major", "architectures", "expected"),
    [
        (9, ["sm_80", "sm_90"], True),
        (8, ["sm_86"], True),
        (7, ["sm_80", "sm_90a", "compute_90"], False),
        (12, ["sm_90", "compute_90"], True),
        (12, ["sm_120"], True),
    ],
)
def test_build_of_torch_fits_a_generation_of_gpus(major, architectures, expected):
    assert is_built_for(major, architectures) is expected


def test_nothing_is_broken_here(tmp_path):
    assert [finding for finding in examine(tmp_path) if finding.status == BROKEN] == []


def test_packages_that_are_looked_for_are_those_of_the_project(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements):
        return sorted(re.split(r"[<>=\[]", requirement)[0] for requirement in requirements)

    assert names(project["dependencies"]) == sorted([*NEEDED, *OPTIONAL["process.py"]])
    for part in ("training", "evaluation"):
        assert names(project["optional-dependencies"][part]) == sorted(OPTIONAL[part])
