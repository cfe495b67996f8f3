"""`vestibule phantom` as a user meets it."""

import os
import subprocess
import sys

import pytest

from vestibule.cli import main

SMALL = ["--cases", "1", "--validation", "1", "--shape", "8,16,16", "--spacing", "6,6,6"]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["vestibule", "phantom", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err.strip().splitlines()


def test_population_is_made_without_a_word_on_stderr(monkeypatch, capsys, tmp_path):
    code, out, err = run(monkeypatch, capsys, tmp_path / "out", *SMALL, "--edition", "2023")
    assert code == 0
    assert "3 patients" in out
    assert err == []
    assert (tmp_path / "out" / "training_target" / "crossmoda2023_ldn_2_T2.nii.gz").is_file()
    assert (tmp_path / "out" / "preview.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "8,16"], "three numbers Z,Y,X"),
        (["--shape", "a,b,c"], "three numbers Z,Y,X"),
        (["--shape", "2,2,2"], "at least 8"),
        (["--spacing", "0,1,1"], "spacing_zyx"),
        (["--edition", "2020"], "2020"),
        (["--cases", "0"], "at least 1"),
        (["--site", "etz"], "sites of edition 2021 are ldn"),
        (["--prevalence", "2"], "between 0 and 1"),
        (["--prevalence", "nan"], "between 0 and 1"),
        (["--spacing", "2,nan,2"], "spacing_zyx"),
        (["--spacing", "nan,2,2"], "spacing_zyx"),
        (["--spacing", "2,2,inf"], "spacing_zyx"),
        (["--shape", "100000,100000,100000"], "at most 134217728 voxels"),
        (["--cases", "1000000000"], "at most 100000"),
        (["--validation", "1000000000"], "at most 100000"),
        (["--workers", "1000000000"], "at most 1000"),
        (["--seed", "-1"], "must not be negative"),
    ],
)
def test_wrong_usage_exits_2_and_says_why_last(monkeypatch, capsys, tmp_path, arguments, message):
    code, _, err = run(monkeypatch, capsys, tmp_path / "out", *arguments)
    assert code == 2
    assert message in err[-1]
    assert not (tmp_path / "out").exists()


def test_occupied_folder_exits_1_and_is_named(monkeypatch, capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    code, _, err = run(monkeypatch, capsys, tmp_path, *SMALL)
    assert code == 1
    assert str(tmp_path) in err[-1]


def test_file_in_place_of_a_folder_exits_1(monkeypatch, capsys, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    code, _, err = run(monkeypatch, capsys, path, *SMALL)
    assert code == 1
    assert "is a file" in err[-1]


def test_folder_whose_name_is_no_text_is_refused_in_one_line(tmp_path):
    out = os.fsencode(tmp_path) + b"/M\xfcller"
    command = [sys.executable, "-m", "vestibule", "phantom", out, *SMALL]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        rf"vestibule: error: {tmp_path}/M\xfcller: its name is not UTF-8 text, or holds control characters; rename it"
    ]
    assert os.listdir(tmp_path) == []


def test_phantoms_need_no_torch():
    code = "import sys, training.phantom.population, training.commands.phantom; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
