"""The engine of local processes, whose jobs are short commands here."""

import sys
from dataclasses import replace

import pytest

from training.cluster import local
from training.cluster.job import StageCall
from training.cluster.local import run_locally
from training.cluster.records import log_of, read_records
from training.cluster.schedule import Machine
from training.config import ResourcesConfig
from vestibule.errors import InputError


def test_jobs_run_in_their_order_and_a_failure_stops_what_needs_it_alone(graph_of, tmp_path, monkeypatch, capfd):
    # Local jobs have no time limit.
    short = ResourcesConfig(gpus=1, cpus=1, hours=1e-5)
    graph = graph_of({"a": (), "bad": ("a",), "c": ("bad",), "d": ("a",)}, {"a": short})
    for name, job in list(graph.jobs.items()):
        graph.jobs[name] = replace(job, run=replace(job.run, folder=tmp_path / name))

    def call(job, root, gpus):
        code = f"import os; print({job.name!r}, os.environ['CUDA_VISIBLE_DEVICES']); 1 / {int(job.name != 'bad')}"
        return StageCall(job.run.folder, "cyclegan", None, [sys.executable, "-c", code], log_of(root, job), 1, 1.0)

    monkeypatch.setattr(local, "call_for", call)
    told = []
    with pytest.raises(InputError, match="failed: bad; not made for want of them: c; see vestibule train status"):
        run_locally(graph, tmp_path, Machine(gpus=2, cpus=2), {}, told.append)
    assert told[:2] == ["a: begun", "a: done"]
    assert sorted(told[2:]) == ["bad: begun", "bad: failed", "d: begun", "d: done"]
    # Each job has GPUs of its own.
    said = [log_of(tmp_path, graph.jobs[name]).read_text().splitlines()[0] for name in ("a", "bad", "d")]
    assert sorted(line.split()[1] for line in said[1:]) == ["0", "1"]
    records = read_records(tmp_path)
    assert records["c"].id is None
    assert records["d"].id is not None
    # Of submitit's own messages none is shown.
    assert "Traceback" not in capfd.readouterr().err
