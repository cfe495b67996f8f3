"""A short part of the fuzzing, and whether it would see what it looks for."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reliability.fuzz.commands import BadEndError, run_command
from tests.reliability.fuzz.guard import Limits, peak_bytes
from tests.reliability.fuzz.kinds import all_kinds
from tests.reliability.fuzz.oracle import WrongError
from tests.reliability.fuzz.runner import Kind, run
from vestibule.errors import InputError


@pytest.fixture
def tried(tmp_path):
    """What becomes of the files of kinds, and what is told of failures."""

    def trial(kinds, seed=0, limits=None):
        told = []
        tallies = run(kinds, seed, 1, tmp_path / "keep", told.append, limits or Limits())
        return tallies, told

    return trial


def test_damaged_files_of_every_kind_are_refused_or_read_rightly(tiny_bundle, tmp_path, tried):
    kinds = [(kind, 6 * round(kind.weight + 0.5)) for kind in all_kinds(tiny_bundle, tmp_path)]
    tallies, told = tried(kinds)
    assert told == []
    for kind, count in kinds:
        counts = tallies[kind.name].counts
        assert counts.total() == count
        assert counts["refused"] > 0, kind.name


def test_undamaged_files_of_every_kind_are_accepted(tiny_bundle, tmp_path, tried):
    for kind in all_kinds(tiny_bundle, tmp_path):
        whole = replace(kind, mutations=(lambda content, rng: content,))
        count = 3 * len(kind.seeds)
        tallies, told = tried([(whole, count)])
        assert told == []
        # An .mhd and plans of another bundle are among them, which are good files and cannot be read here.
        is_text = kind.name == "text as an image"
        assert is_text or tallies[kind.name].counts["accepted"] >= count // 3, kind.name


def test_whole_commands_with_a_damaged_file_end_as_they_should(repository):
    # In a process of its own: what other tests have left in this one, threads above all, does not survive a fork.
    command = [sys.executable, "-m", "tests.reliability.fuzz", "--count", "0", "--commands", "1", "--workers", "1"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line for line in done.stdout.splitlines() if line.startswith("| ") and "refused" not in line]
    assert len(kinds) > 10
    assert f"{len(kinds)} damaged files" in done.stdout


def test_a_command_that_ends_otherwise_or_changes_its_inputs_is_seen(tmp_path):
    (tmp_path / "a.csv").write_text("no table")
    with pytest.raises(BadEndError, match="exit code 2"):
        run_command(tmp_path, "rank", "--nothing")
    with pytest.raises(BadEndError, match="changed in"):
        run_command(tmp_path, "rank", tmp_path / "a.csv", "--log-file", tmp_path / "log.txt")
    assert run_command(tmp_path, "rank", tmp_path / "a.csv")[0] == 1


def use_memory(path: Path) -> None:
    kept.append(bytearray(b"x") * allowed[-1])


def write_elsewhere(path: Path) -> None:
    (path.parents[2] / "outside").write_text("x")


def read_another_place(path: Path) -> None:
    raise WrongError("corners lie 3 mm apart")


def loop(path: Path) -> None:
    while True:
        pass


kept = []
allowed = []
"""Bytes of memory; the last counts."""
FAILING = {
    "traceback": lambda path: {}["x"],
    "killed": lambda path: os.abort(),
    "outside": write_elsewhere,
    "wrong": read_another_place,
    "memory": use_memory,
    "hung": loop,
}


@pytest.mark.parametrize("verdict", FAILING)
def test_each_failure_is_seen_and_kept_and_costs_no_other_file(tried, tmp_path, verdict):
    def read(path: Path) -> None:
        if path.read_bytes() == b"\x01":
            FAILING[verdict](path)
        raise InputError("x")

    kind = Kind("k", [b"\x00"], ("a.bin",), (lambda content, rng: bytes([rng.randrange(5)]),), read)
    cpu_seconds = 0.3 if verdict == "hung" else 20
    # The process that tries files begins as a copy of this one, which holds what earlier tests have imported.
    allowed.append(peak_bytes() + (300 << 20))
    tallies, told = tried([(kind, 5)], limits=Limits(memory_bytes=allowed[-1], cpu_seconds=cpu_seconds))
    counts = tallies["k"].counts
    assert counts[verdict] > 0
    assert counts["refused"] > 0
    assert counts.total() == 5
    failed = sorted((tmp_path / "keep").glob("*/a.bin"))
    assert len(failed) == counts[verdict] == len(told)
    assert {path.read_bytes() for path in failed} == {b"\x01"}


def test_a_warning_that_names_the_file_stands_for_a_wrong_reading(tried):
    def read(path: Path) -> None:
        logging.getLogger("x").warning("%s: contradicts itself", path)
        raise WrongError("corners lie 3 mm apart")

    kind = Kind("k", [b"\x00"], ("a.bin",), (lambda content, rng: content,), read)
    tallies, told = tried([(kind, 2)])
    assert tallies["k"].counts == {"warned": 2}
    assert told == []


def test_the_same_seed_damages_the_same_files(tried):
    def first_files(seed):
        def read(path: Path) -> None:
            raise RuntimeError(path.read_bytes().hex())

        kind = Kind("k", [b"abc"], ("a.bin",), (lambda content, rng: rng.randbytes(3),), read)
        tallies, _ = tried([(kind, 3)], seed)
        return [failure["cause"] for failure in tallies["k"].failures]

    assert first_files(3) == first_files(3)
    assert first_files(3) != first_files(4)
