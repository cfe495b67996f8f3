"""Small graphs of jobs, and a queue that a script stands in for."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from training.cluster.graph import Graph, Job, Run
from training.config import ResourcesConfig
from training.phantom.config import PhantomConfig
from training.stage_table import CYCLEGAN


@pytest.fixture
def phantom_config(config):
    """A configuration that makes its own data, with two folds."""
    return replace(
        config,
        edition=2021,
        phantom=PhantomConfig(cases=5, validation=1),
        segmenter=replace(config.segmenter, folds=(0, 1)),
    )


@pytest.fixture
def graph_of(config):
    """A graph from what each job needs; all are of one stage and done nowhere."""

    def make(needs: dict[str, tuple[str, ...]], given: dict[str, ResourcesConfig] | None = None) -> Graph:
        jobs = {}
        run = Run("run", config, Path("run"))
        for name, needed in needs.items():
            resources = (given or {}).get(name, ResourcesConfig(gpus=1, cpus=1))
            jobs[name] = Job(name, run, CYCLEGAN, None, name, needed, resources)
        return Graph(jobs)

    return make


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Lets `squeue` print lines; returns a function that sets them, and has `calls`, the number of its calls."""
    programs = tmp_path / "programs"
    programs.mkdir()
    answer, calls = tmp_path / "answer", tmp_path / "calls"
    program = programs / "squeue"
    program.write_text(f"#!/bin/sh\necho x >> {calls}\ncat {answer}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    # There is no accounting.
    (programs / "sacct").symlink_to("/bin/false")

    def say(*lines: str) -> None:
        answer.write_text("\n".join(lines))

    say()
    say.calls = lambda: len(calls.read_text().split()) if calls.is_file() else 0
    return say
