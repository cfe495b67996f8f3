"""What Slurm is asked for, and what its queue tells, without a Slurm."""

from dataclasses import replace

import pytest
from submitit.slurm.slurm import _make_sbatch_string

from training import status as run_status
from training.cluster.queue import queued
from training.cluster.records import all_records, read_records, write_records
from training.cluster.slurm import alike, parameters, submit_to_slurm
from training.cluster.status import read_jobs
from training.config import ResourcesConfig
from vestibule.errors import InputError
from vestibule.files import write_json


def test_resources_become_options_of_sbatch():
    resources = ResourcesConfig(
        gpus=2, cpus=8, memory_gb=30.5, hours=1.5, partition="gpu", options=("--qos=long", "--exclusive")
    )
    text = _make_sbatch_string("command", "folder", **parameters(resources, "cyclegan", ["7", "9_1"]))
    lines = text.splitlines()
    wanted = ["gpus-per-node=2", "cpus-per-task=8", "mem=31232MB", "time=90", "partition=gpu", "qos=long", "exclusive"]
    wanted += ["job-name=vestibule-cyclegan", "dependency=afterok:7:9_1", "kill-on-invalid-dep=yes", "requeue"]
    wanted += ["signal=USR2@90"]
    for option in wanted:
        assert f"#SBATCH --{option}" in lines
    plain = _make_sbatch_string("command", "folder", **parameters(ResourcesConfig(hours=0.05), "prepare", []))
    for left_out in ("dependency", "partition", "mem", "gpus"):
        assert f"--{left_out}" not in plain
    # A quarter of three minutes.
    assert "#SBATCH --signal=USR2@45" in plain


def test_jobs_that_wait_for_the_same_and_get_the_same_are_one_array(graph_of):
    needs = {"a": (), "b": (), "c": ("a",), "d": ("a",), "e": ("b",), "f": ("a",)}
    graph = graph_of(needs, {"f": ResourcesConfig(gpus=2)})
    groups = [[job.name for job in group] for group in alike(graph, {"b": "7"})]
    assert groups == [["a"], ["c", "d"], ["e"], ["f"]]


def test_queue_is_read_job_by_job_and_array_by_array(squeue):
    squeue("12|PENDING|Priority", "13_[0-2,5%4]|PENDING|Dependency", "13_3|RUNNING|None", "rubbish")
    states = queued()
    assert (states["12"].state, states["12"].reason) == ("PENDING", "Priority")
    assert [number for number in states if number.startswith("13")] == ["13_0", "13_1", "13_2", "13_5", "13_3"]
    assert states["13_3"].state == "RUNNING"


def test_queue_is_empty_where_there_is_no_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued() == {}


def in_runs(graph, root):
    """The graph, each job in a run of its own name."""
    for name, job in list(graph.jobs.items()):
        graph.jobs[name] = replace(job, run=replace(job.run, folder=root / name))
    return graph


@pytest.fixture
def submitted(graph_of, tmp_path):
    """Jobs a, b (needs a), c (needs b) of runs of their own, in the queue as 1, 2 and 3."""
    graph = in_runs(graph_of({"a": (), "b": ("a",), "c": ("b",)}), tmp_path)
    write_records(tmp_path, all_records(tmp_path, graph, "slurm", {"a": "1", "b": "2", "c": "3"}))
    return graph


def states_of(root):
    return {job.name: job for job in read_jobs(root)}


def test_status_tells_what_runs_and_queue_know_together(submitted, squeue, tmp_path):
    write_json(tmp_path / "a" / "cyclegan" / "stage.json", {"config": {}, "outputs": {}, "seconds": 4.0})
    squeue("2|RUNNING|None", "3|PENDING|Dependency")
    jobs = states_of(tmp_path)
    assert [jobs[name].state for name in "abc"] == ["done", "running", "waiting"]
    assert (jobs["b"].queue, jobs["b"].waits_for) == ("job 2", ())
    assert (jobs["c"].queue, jobs["c"].waits_for) == ("job 3, Dependency", ("b",))


def test_status_tells_how_jobs_ended_and_where_their_log_is(submitted, squeue, tmp_path):
    squeue("1|TIMEOUT|TimeLimit", "2|CANCELLED|Dependency", "3|FAILED|NonZeroExitCode")
    run_status.fail(tmp_path / "c", "cyclegan", None, "out of memory", tmp_path / "old.log")
    log = tmp_path / "jobs" / "logs" / "c.log"
    log.parent.mkdir(parents=True)
    log.write_text("out of memory\n")
    jobs = states_of(tmp_path)
    assert [(jobs[name].state, jobs[name].error) for name in "abc"] == [
        ("failed", "job 1: TIMEOUT"),
        ("stopped", "job 2 was cancelled"),
        ("failed", "out of memory"),
    ]
    assert jobs["c"].log == str(log)


def test_status_of_a_hundred_jobs_asks_the_queue_once(graph_of, squeue, tmp_path):
    graph = in_runs(graph_of({f"job_{number}": () for number in range(100)}), tmp_path)
    numbers = {name: str(number) for number, name in enumerate(graph.jobs)}
    write_records(tmp_path, all_records(tmp_path, graph, "slurm", numbers))
    squeue(*(f"{number}|PENDING|Priority" for number in range(100)))
    assert [job.queue for job in read_jobs(tmp_path)] == [f"job {number}, Priority" for number in range(100)]
    assert squeue.calls() == 1


def test_job_that_waits_already_is_not_submitted_again_and_with_another_configuration_refused(
    submitted, squeue, tmp_path
):
    squeue("1|RUNNING|None", "2|PENDING|Dependency", "3|PENDING|Dependency")
    told = []
    assert submit_to_slurm(submitted, tmp_path, told.append) == {"a": "1", "b": "2", "c": "3"}
    assert told == ["0 jobs submitted, 3 were in the queue already"]
    assert read_records(tmp_path)["c"].id == "3"
    submitted.jobs["b"] = replace(submitted.jobs["b"], key="another")
    with pytest.raises(InputError, match=r"b: is in the queue as job 2, with another configuration; .* scancel 2"):
        submit_to_slurm(submitted, tmp_path, told.append)
