"""What every command tells on stderr, keeps in a log file, and says of progress without a terminal."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from vestibule import logs, progress
from vestibule.volume import Geometry, Volume, reorient, write_volume

MODULES_OF_EXTRAS = ("yaml", "lightning_fabric", "monai", "matplotlib", "tensorboard", "ipyniivue", "jinja2")

ABSENT = "absent: no such folder of weights; expected a folder with manifest.json"


def speak(level):
    logging.getLogger("training.somewhere").log(level, "about %d cases", 3)


@pytest.mark.parametrize(
    ("told_from", "lines"),
    [
        (logging.DEBUG, ["about 3 cases", "about 3 cases", "warning: about 3 cases"]),
        (logging.INFO, ["about 3 cases", "warning: about 3 cases"]),
        (logging.WARNING, ["warning: about 3 cases"]),
    ],
)
def test_stderr_has_the_messages_that_were_asked_for_and_the_file_has_all(tmp_path, capfd, told_from, lines):
    path = tmp_path / "new" / "run.log"
    logs.start(told_from, path)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        speak(level)
    logging.getLogger("another.library").info("chatter")
    logs.stop()
    speak(logging.WARNING)
    assert capfd.readouterr().err.splitlines() == lines
    kept = path.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in kept] == [
        f"{level} training.somewhere: about 3 cases" for level in ("DEBUG", "INFO", "WARNING")
    ]


def test_log_file_grows_and_ends_with_the_cause_of_a_failure(run, tmp_path):
    log = tmp_path / "run.log"
    for arguments in (
        ["--log-file", log, "weights", "show", "absent"],
        ["weights", "show", "absent", f"--log-file={log}"],
    ):
        code, _, err = run(*arguments)
        assert code == 1
        assert err == [f"vestibule: error: {ABSENT}"]
    kept = log.read_text().splitlines()
    assert len([line for line in kept if line.endswith(f"ERROR vestibule.cli: {ABSENT}")]) == 2
    assert "weights show absent" in kept[0]


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (["weights", "show", "--quiet", "--verbose"], 2, "--verbose and --quiet exclude each other"),
        (["weights", "show", "--log-file"], 2, "Option '--log-file' requires an argument"),
        (["weights", "show", "--log-file", "file/run.log"], 1, "file/run.log: the log cannot be written there"),
    ],
)
def test_wrong_use_of_the_common_options_is_told_in_one_line(run, tmp_path, monkeypatch, arguments, code, cause):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    got, _, err = run(*arguments)
    assert got == code
    assert cause in err[-1]


def test_quiet_leaves_what_was_asked_for(run, tiny_bundle):
    code, out, err = run("-q", "weights", "show", tiny_bundle)
    assert code == 0
    assert "intended use" in out
    assert err == []


def test_word_behind_two_dashes_is_no_option(run):
    code, _, err = run("weights", "show", "--", "--quiet")
    assert code == 1
    assert err[-1].startswith("vestibule: error: --quiet: no such folder of weights")


def test_progress_line_tells_the_time_left():
    assert progress.progress_line("cyclegan", 30, 120, 0, 10.0) == "cyclegan: 30 of 120, 0:10 so far, 0:30 left"
    # 60 done before and 30 in 3700 s leave 30, for as long again.
    assert progress.progress_line("x", 90, 120, 60, 3700.0) == "x: 90 of 120, 1:01:40 so far, 1:01:40 left"
    assert progress.progress_line("x", 5, None, 0, 65.4) == "x: 5, 1:05 so far"


def test_without_a_terminal_progress_is_a_line_every_so_often(capfd, monkeypatch):
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    logs.start()
    for _ in progress.track(range(20), "patients"):
        pass
    logs.stop()
    # A step takes 10 s: after 20 s, and every 60 s from there.
    assert capfd.readouterr().err.splitlines() == [
        "patients: 2 of 20, 0:20 so far, 3:00 left",
        "patients: 8 of 20, 1:20 so far, 2:00 left",
        "patients: 14 of 20, 2:20 so far, 1:00 left",
        "patients: 20 of 20, 3:20 so far, 0:00 left",
    ]


def test_program_that_imports_the_package_hears_nothing_of_progress(capfd, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 10000, 100)).__next__)
    for _ in progress.track(range(5), "patients"):
        pass
    assert capfd.readouterr() == ("", "")


def without(modules, *arguments):
    """Run the command in a process that cannot import `modules`."""
    code = (
        "import sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Blocked(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {modules!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from vestibule.cli import main\n"
        f"sys.argv = ['vestibule', *{arguments!r}]\n"
        "main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("train", "run", "--config", "configs/phantom.yaml", "--run", "never"), "training"),
        (("evaluate", "masks", "references", "scores"), None),
        (("pictures", "images", "masks", "references", "out"), "evaluation"),
    ],
)
def test_command_whose_extra_is_missing_names_it_in_one_line(repository, monkeypatch, arguments, extra):
    monkeypatch.chdir(repository)
    finished = without(MODULES_OF_EXTRAS, *arguments)
    if extra is None:
        # It needs the extra only for its page, and here it does not come so far.
        assert finished.returncode == 1
        return
    assert finished.returncode == 2, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"vestibule: error: vestibule {arguments[0]}: the package ")
    assert line.endswith(f" is not installed; run: pip install 'vestibule[{extra}]'")


def test_missing_package_of_ours_is_no_missing_extra():
    finished = without(("vestibule.weights", "training"), "train", "--help")
    assert "Traceback" in finished.stderr


def test_notes_of_an_evaluation_follow_quiet_and_the_log_file(run, tmp_path):
    geometry = Geometry((4, 6, 6), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    labels = np.zeros(geometry.size_zyx, dtype=np.uint8)
    labels[1, 2:4, 2:4] = 1
    turned = reorient(Volume(labels, geometry), "RAS")
    write_volume(tmp_path / "masks" / "crossmoda2021_ldn_1_Label.nii.gz", turned)
    write_volume(tmp_path / "references" / "crossmoda2021_ldn_1_Label.nii.gz", Volume(labels, geometry))
    told = "note: crossmoda2021_ldn_1: axes turned onto the reference's grid"
    arguments = ("evaluate", tmp_path / "masks", tmp_path / "references", tmp_path / "scores", "--workers", 1)

    _, _, lines = run(*arguments)
    assert told in lines
    _, _, quiet = run(*arguments, "--quiet", "--log-file", tmp_path / "log.txt")
    assert told not in quiet
    assert told in (tmp_path / "log.txt").read_text()


def test_a_line_is_told_where_no_command_has_set_anything_up(capfd):
    logs.stop()
    logs.tell("scored as empty")
    assert capfd.readouterr().err == "scored as empty\n"
