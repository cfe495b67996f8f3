"""Tables are printed whatever the names in them and the terminal's encoding."""

import json
import os
import subprocess
import sys

import click
import numpy
import pytest

from vestibule.cli import main

ODD_NAMES = ("[/b]", "[red]x", ":smile:", "ü", "a[1]")


@pytest.fixture
def teams(tmp_path):
    """The organisers' table of teams with names that a library may take for more than names."""
    lines = ["Case,VS_Dice,VS_ASSD,Team"]
    for case in range(3):
        for place, name in enumerate(ODD_NAMES):
            lines.append(f"c{case},0.{9 - place},{place + 1}.0,{name}")
    path = tmp_path / "teams.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def scores(tmp_path):
    """What evaluate wrote, for an arm."""
    rows = ["case,structure,dice,assd_mm"]
    for case in range(3):
        for structure in ("vs", "cochlea"):
            rows.append(f"crossmoda2021_ldn_{case},{structure},0.8,1.{case}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["vestibule", *map(str, arguments)])
    main()


def test_names_in_brackets_and_colons_stand_in_tables_as_they_are(teams, monkeypatch, capsys):
    run(monkeypatch, "rank", teams, "--bootstraps", "0")
    printed = capsys.readouterr().out
    for name in ODD_NAMES:
        assert name in printed


@pytest.mark.parametrize("command", ["table1", "statistics"])
def test_an_arm_may_be_called_in_brackets(command, scores, monkeypatch, capsys):
    run(monkeypatch, command, f"[/x]={scores}")
    assert "[/x]" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_escapes_and_no_error(encoding, scores, teams, repository):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(repository)}

    def printed(*arguments):
        command = [sys.executable, "-m", "vestibule", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        return done.stdout.decode(encoding)

    assert ("\\xb1" if encoding == "ascii" else "±") in printed("table1", f"mine={scores}")
    document = json.loads(printed("rank", teams, "--bootstraps", "0", "--json"))
    assert {team["team"] for team in document["ranking"]} == set(ODD_NAMES)


def test_memory_that_does_not_suffice_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vestibule"])

    @click.command()
    def needs_much() -> None:
        numpy.zeros(1 << 60, numpy.uint8)

    with pytest.raises(SystemExit) as stopped:
        main(needs_much)
    assert stopped.value.code == 1
    assert "out of memory (Unable to allocate" in capsys.readouterr().err.splitlines()[-1]
