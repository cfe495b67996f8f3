"""What a job does with the command that it runs."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from training import status
from training.cluster.job import JobFailedError, StageCall, command_for
from training.cluster.links import make_links
from training.run_status import read_run
from vestibule.files import read_json


def call(tmp_path, code, part=None, **changed):
    settings = {"links": (), "cpus": 1, "hours": 1.0, **changed}
    command = [sys.executable, "-c", code]
    return StageCall(tmp_path, "cyclegan", part, command, tmp_path / "jobs" / "job.log", **settings)


def entry(tmp_path):
    return read_json(tmp_path / "status.json")["cyclegan"]


def test_command_runs_to_its_end_and_its_output_is_kept(tmp_path):
    made = tmp_path / "other" / "prepare"
    made.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    place = tmp_path / "run" / "prepare"
    code = f"import os; print('says', os.environ['OMP_NUM_THREADS'], os.path.isdir({str(place)!r}))"
    call(tmp_path, code, links=((place, made),))()
    assert (tmp_path / "jobs" / "job.log").read_text() == f"says {os.environ.get('OMP_NUM_THREADS', 1)} True\n"
    make_links(((place, made),))


def test_failed_command_leaves_its_last_line_in_the_status_and_its_last_lines_in_the_message(tmp_path):
    code = "import sys; print('first'); print('vestibule: error: the disk is full', file=sys.stderr); sys.exit(1)"
    with pytest.raises(JobFailedError, match=r"(?s)exit code 1; log: .*job\.log.*first.*the disk is full"):
        call(tmp_path, code)()
    assert (entry(tmp_path)["state"], entry(tmp_path)["error"]) == ("failed", "vestibule: error: the disk is full")
    assert entry(tmp_path)["log"] == str(tmp_path / "jobs" / "job.log")
    assert entry(tmp_path)["log_lines"] == ["first", "vestibule: error: the disk is full"]
    assert read_run(tmp_path)[0].log_lines == ("first", "vestibule: error: the disk is full")
    # The next try begins without it.
    call(tmp_path, "pass")()
    assert entry(tmp_path)["state"] == "waiting"
    assert "log_lines" not in entry(tmp_path)


def test_what_the_stage_has_noted_of_its_failure_stays(tmp_path):
    code = (
        "import sys; from pathlib import Path; from training import status\n"
        f"status.fail(Path({str(tmp_path)!r}), 'cyclegan', None, 'diverged', Path('its.log')); sys.exit(1)"
    )
    with pytest.raises(JobFailedError):
        call(tmp_path, code)()
    assert entry(tmp_path)["error"] == "diverged"
    assert entry(tmp_path)["log_lines"] == []


def test_killed_command_is_a_failure_that_names_the_signal(tmp_path):
    with pytest.raises(JobFailedError, match="exit code -9"):
        call(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", part="fold_1")()
    assert entry(tmp_path)["parts"]["fold_1"]["error"] == "killed by SIGKILL"


def test_stopped_command_has_not_failed(tmp_path):
    status.begin(tmp_path, "cyclegan")
    with pytest.raises(JobFailedError, match="exit code 143"):
        call(tmp_path, "import sys; sys.exit(143)")()
    assert entry(tmp_path)["state"] == "running"


SLEEP = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("sleeps", flush=True)
time.sleep(60)
"""


def wait_for(path, text):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file() and text in path.read_text():
            return
        time.sleep(0.05)
    raise TimeoutError(text)


def test_checkpoint_stops_the_command_and_gives_the_same_call_again(tmp_path):
    stage_call = call(tmp_path, SLEEP)
    ended = []

    def run():
        with pytest.raises(JobFailedError, match="exit code 143"):
            stage_call()
        ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(tmp_path / "jobs" / "job.log", "sleeps")
    again = stage_call.checkpoint()
    thread.join(30)
    assert ended == [True]
    assert again.function == call(tmp_path, SLEEP)


def reach_the_limit(stage_call):
    """Ask for the next try, as an engine does when the time limit of a job strikes."""
    stage_call._begin_s = time.monotonic() - 0.9 * 3600 * stage_call.hours
    return stage_call.checkpoint().function


def test_job_whose_limit_strikes_again_and_again_without_a_new_checkpoint_fails_and_says_so(tmp_path):
    checkpoint = tmp_path / "cyclegan" / "state.pt"
    checkpoint.parent.mkdir()
    stage_call = call(tmp_path, "pass")
    stage_call()
    # What it keeps lets it go on for as long as it likes.
    for second in range(5):
        checkpoint.write_bytes(b"state")
        os.utime(checkpoint, (second, second))
        stage_call = reach_the_limit(stage_call)
    # Nor does it fail where it was preempted in vain.
    for _ in range(5):
        stage_call._begin_s = time.monotonic()
        stage_call = stage_call.checkpoint().function
    # Where a stage has no checkpoints, its volumes are what it has got.
    stage_call = reach_the_limit(reach_the_limit(stage_call))
    (checkpoint.parent / "case.npy").write_bytes(b"")
    for _ in range(3):
        stage_call = reach_the_limit(stage_call)
    told = "cyclegan: its time limit of 1 h has struck 3 times without a new checkpoint; raise hours in the section"
    with pytest.raises(JobFailedError, match=told):
        reach_the_limit(stage_call)
    assert entry(tmp_path)["error"].startswith(told)
    assert entry(tmp_path)["log_lines"] == [entry(tmp_path)["error"]]


def test_command_ignores_the_signal_that_engines_send_to_all_processes_of_a_job(tmp_path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print('lives')"
    call(tmp_path, code)()
    assert (tmp_path / "jobs" / "job.log").read_text() == "lives\n"


def test_command_dies_with_its_job(tmp_path):
    code = (
        "import sys; from pathlib import Path; from training.cluster.job import StageCall\n"
        f"StageCall(Path({str(tmp_path)!r}), 'cyclegan', None, [sys.executable, '-c', {SLEEP!r} + '#'], "
        f"Path({str(tmp_path / 'job.log')!r}), 1, 1.0)()"
    )
    job = subprocess.Popen([sys.executable, "-c", code])
    wait_for(tmp_path / "job.log", "sleeps")
    (child,) = subprocess.check_output(["pgrep", "-P", str(job.pid)], text=True).split()
    job.send_signal(signal.SIGKILL)
    job.wait()
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
        with open(f"/proc/{child}/stat") as stream:
            if stream.read().split()[2] == "Z":
                break
        time.sleep(0.05)
    else:
        assert not os.path.exists(f"/proc/{child}")


def test_several_processes_train_together_by_torchrun(tmp_path):
    alone = command_for("cyclegan", None, tmp_path, tmp_path / "config.yaml", 1)
    assert alone[1:5] == ["-m", "vestibule", "train", "cyclegan"]
    together = command_for("cyclegan", None, tmp_path, tmp_path / "config.yaml", 4)
    assert together[1:7] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", "-m"]
    assert together[7:] == alone[2:]
    part = command_for("segmenter", "fold_0", tmp_path, tmp_path / "config.yaml", 1)
    assert part[-2:] == ["--part", "fold_0"]
