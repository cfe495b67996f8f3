"""What `vestibule train status` tells of stages that are done, running, waiting, failed or killed."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from training import runner, stage_module, status
from training.commands.train_status import told
from training.run_status import Job, read_run
from training.runner import run_stage
from training.stage_table import CYCLEGAN, PREPARE, STAGES
from vestibule import progress
from vestibule.cli import cli
from vestibule.errors import InputError
from vestibule.files import read_json, write_json


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """Let the function that is given make the stage `cyclegan`, which reads nothing here."""
    alone = replace(CYCLEGAN, needs=())
    monkeypatch.setitem(STAGES, alone.name, alone)

    real_import = importlib.import_module

    def use(function):
        module = SimpleNamespace(train=function)

        def import_module(name):
            return module if name.startswith("training.stages.") else real_import(name)

        monkeypatch.setattr(stage_module.importlib, "import_module", import_module)
        return alone

    return use


def job(run_dir, name="cyclegan"):
    (found,) = [job for job in read_run(run_dir) if job.name == name]
    return found


def test_running_stage_is_told_with_step_losses_and_process(stage, config, tmp_path):
    seen = []

    def train(config, run_dir):
        status.measured({"g": 0.25, "d": float("nan")})
        for _ in progress.track(range(4), "cyclegan"):
            pass
        seen.append(job(run_dir))
        return []

    run_stage(stage(train), config, tmp_path)
    (found,) = seen
    assert (found.state, found.loop, found.step, found.steps) == ("running", "cyclegan", 1, 4)
    assert found.losses == {"g": 0.25}
    assert f"process {os.getpid()} on " in found.holder
    assert "cyclegan: 1 of 4, g 0.25, by process" in told(found)
    done = job(tmp_path)
    assert (done.state, done.step, done.holder) == ("done", None, None)


def test_time_left_follows_from_the_steps_so_far(tmp_path):
    watch = status._Watch(tmp_path, "cyclegan", None)
    watch.step("cyclegan", 11, 20, 10)
    time.sleep(0.05)
    watch.step("cyclegan", 15, 20, 10)
    # Four steps in 50 ms, and five are left.
    assert 0.06 <= watch._latest["left_s"] <= 0.6


def test_failed_stage_leaves_its_last_line_and_its_log(stage, repository, tmp_path):
    def train(config, run_dir):
        raise InputError("the disk\nis full")

    stage(train)
    tiny = repository / "tests" / "reliability" / "faults" / "tiny.yaml"
    log = tmp_path / "run.log"
    arguments = ["train", "cyclegan", "--config", str(tiny), "--run", str(tmp_path)]
    ended = CliRunner().invoke(cli, [*arguments, "--log-file", str(log)])
    assert isinstance(ended.exception, InputError), ended.output
    assert str(ended.exception) == "the disk\nis full"
    found = job(tmp_path)
    assert (found.state, found.error, found.log) == ("failed", "the disk is full", str(log))
    assert told(found) == f"the disk is full, log: {log}"


def test_interrupted_stage_is_stopped_and_may_be_gone_on_with(stage, config, tmp_path):
    def train(config, run_dir):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(stage(train), config, tmp_path)
    assert job(tmp_path).state == "stopped"
    run_stage(stage(lambda config, run_dir: []), config, tmp_path)
    assert job(tmp_path).state == "done"


HOLD = """
import sys, time
from pathlib import Path
from training import status
from vestibule.locks import claimed
run_dir = Path(sys.argv[1])
with claimed(run_dir / "cyclegan"):
    status.begin(run_dir, "cyclegan")
    print("held", flush=True)
    time.sleep(60)
"""


def test_killed_process_is_not_told_as_running(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert job(tmp_path).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_json(tmp_path / "status.json")["cyclegan"]["state"] == "running"
    assert job(tmp_path).state == "stopped"


def test_stages_that_are_to_come_are_told_with_what_they_wait_for(config, tmp_path):
    runner.plan_status(config, tmp_path)
    write_json(tmp_path / "prepare" / "stage.json", {"config": {}, "outputs": {}, "seconds": 61.0})
    jobs = {job.name: job for job in read_run(tmp_path)}
    assert (jobs["prepare"].state, told(jobs["prepare"])) == ("done", "in 1:01")
    assert (jobs["transfer"].state, jobs["transfer"].waits_for) == ("waiting", ("cyclegan", "harmoniser"))
    assert jobs["cyclegan"].waits_for == ()
    # Another configuration asks for other stages; what is done stays.
    runner.plan_status(replace(config, arms=("baseline",)), tmp_path)
    names = [job.name for job in read_run(tmp_path)]
    assert names == ["prepare", "cyclegan", "segmenter", "export"]


def test_parts_are_told_behind_their_stage(tmp_path):
    status.begin(tmp_path, "segmenter", "plan")
    status.end(tmp_path, "segmenter", "plan", 12.0)
    status.begin(tmp_path, "segmenter", "fold_0")
    jobs = {job.name: job for job in read_run(tmp_path)}
    assert list(jobs) == ["segmenter", "segmenter/fold_0", "segmenter/plan"]
    assert (jobs["segmenter/plan"].state, jobs["segmenter/plan"].seconds) == ("done", 12.0)
    assert jobs["segmenter/fold_0"].state == "stopped"
    assert jobs["segmenter"].state == "waiting"


def test_command_shows_a_table_and_gives_json(tmp_path):
    status.begin(tmp_path, PREPARE.name)
    shown = CliRunner().invoke(cli, ["train", "status", str(tmp_path)])
    assert shown.exit_code == 0
    assert "prepare   stopped" in shown.output
    document = json.loads(CliRunner().invoke(cli, ["train", "status", str(tmp_path), "--json"]).output)
    assert [(job["name"], job["state"]) for job in document["jobs"]] == [("prepare", "stopped")]
    # Nothing is going on, so there is nothing to watch.
    watched = CliRunner().invoke(cli, ["train", "status", str(tmp_path), "--watch"])
    assert "prepare   stopped" in watched.output


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        read_run(tmp_path)


def test_job_that_waits_says_for_what():
    assert told(Job("pix2pix", "waiting", waits_for=("transfer",))) == "for transfer"


def test_looking_at_a_run_needs_no_torch(tmp_path):
    status.begin(tmp_path, PREPARE.name)
    code = (
        "import sys; from vestibule.cli import main\n"
        f"sys.argv = ['vestibule', 'train', 'status', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "finally: sys.stderr.write(','.join(name for name in ('torch', 'numpy', 'submitit') if name in sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "prepare" in finished.stdout
    assert (finished.returncode, finished.stderr) == (0, "")
