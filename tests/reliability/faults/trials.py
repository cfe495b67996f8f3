"""One fault each: what is done to a run, and how it has to end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.reliability.faults.clock import can_shift
from tests.reliability.faults.world import Command, Ending, copy_run, finish, outputs_of, stage_command
from vestibule.files import read_json

SAME, CLEAR, WRONG, SKIPPED = "same weights", "one clear line", "WRONG", "skipped"
"""How a trial ended. A command that is refused, or fails for want of room, says so in one clear line."""
LONGEST_STOP = 2.0
"""Seconds from a signal to the end, on a machine that has nothing else to do."""
PAGE = 4096
SEGMENTER = "segmenter"
IN_NNUNET = "segmenter, in nnU-Net"
"""The stage from where nnU-Net has planned and preprocessed, so that a fault falls into its training."""


@dataclass(frozen=True)
class Result:
    """How a trial ended."""

    part: str
    subject: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Template:
    """A run that nothing disturbed, with all of its stages."""

    run: Path
    stages: tuple[str, ...]

    def seconds(self, subject: str) -> float:
        """How long a stage takes, or its training by nnU-Net alone."""
        stage = stage_of(subject)
        if subject == IN_NNUNET:
            return read_json(self.run / "timings.json")[IN_NNUNET]
        return read_json(self.run / stage / "stage.json")["seconds"]

    def before(self, subject: str, target: Path) -> Path:
        """A copy of the run as it is before a stage."""
        stage = stage_of(subject)
        later = self.stages[self.stages.index(stage) :]
        run = copy_run(self.run, target, later)
        if subject == IN_NNUNET:
            folder = shutil.copytree(self.run / stage, run / stage)
            back_to_planned(folder)
        return run

    def compare(self, subject: str, run: Path, ending: Ending, part: str) -> Result:
        """The result of a trial whose stage should have ended with the outputs of the template."""
        stage = stage_of(subject)
        if ending.code != 0:
            return Result(part, subject, WRONG, f"exit code {ending.code}: {ending.errors[-600:]}")
        expected, found = outputs_of(stage, self.run), outputs_of(stage, run)
        if found == expected:
            return Result(part, subject, SAME)
        others = sorted(name for name in expected if found.get(name) != expected[name])
        return Result(part, subject, WRONG, f"other bytes in {', '.join(others[:5])}")


def stage_of(subject: str) -> str:
    """The stage that a subject is about."""
    return SEGMENTER if subject == IN_NNUNET else subject


def back_to_planned(folder: Path) -> None:
    """Leave of a segmenter's folder what nnU-Net's planning left."""
    shutil.rmtree(folder / "nnunet" / "results", ignore_errors=True)
    for path in folder.iterdir():
        if path.is_file() and path.name not in ("config.json", "planned.json", "planned.pt"):
            path.unlink()


def kill(template: Template, subject: str, work: Path, rng: random.Random) -> tuple[Result, int]:
    """Kill a stage at a random time, some of them twice, and let it end. Also the number of kills."""
    stage = stage_of(subject)
    run = template.before(subject, work)
    kills = 0
    wanted = 2 if rng.random() < 0.25 else 1
    limit = template.seconds(subject)
    while kills < wanted:
        command = stage_command(stage, run)
        time.sleep(rng.uniform(0, limit))
        if command.has_ended():
            # The machine has become faster than it was.
            ending = command.wait()
            if ending.code != 0 or kills:
                return template.compare(subject, run, ending, "kills"), kills
            limit /= 2
            run = template.before(subject, work)
            continue
        command.send(signal.SIGKILL)
        command.wait()
        kills += 1
    return template.compare(subject, run, finish(stage, run), "kills"), kills


def stop(template: Template, subject: str, work: Path, rng: random.Random, number: int) -> Result:
    """Send Ctrl-C or SIGTERM at a random time: an end within two seconds, one line, and the same weights after it."""
    part = "signals"
    stage = stage_of(subject)
    run = template.before(subject, work)
    command = stage_command(stage, run)
    # Not before the command can have begun to listen.
    time.sleep(0.3 + rng.uniform(0, template.seconds(subject)))
    if command.has_ended():
        return template.compare(subject, run, command.wait(), part)
    sent = time.monotonic()
    command.send(number)
    ending = command.wait()
    seconds = time.monotonic() - sent
    is_told = "go on with: vestibule train" in ending.told and f"--run {run}" in ending.told
    if ending.code == 0:
        return template.compare(subject, run, ending, part)
    if ending.code != 128 + number or not is_told or "Traceback" in ending.errors:
        return Result(part, subject, WRONG, f"exit code {ending.code}: {ending.errors[-600:]}")
    # On a machine that has more to do than it has cores, all takes as much longer.
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    if seconds > LONGEST_STOP * busy:
        return Result(part, subject, WRONG, f"took {seconds:.1f} s")
    checked = claim_of_checkpoint(ending.told)
    if checked:
        return Result(part, subject, WRONG, checked)
    return template.compare(subject, run, finish(stage, run), part)


def claim_of_checkpoint(line: str) -> str | None:
    """What is wrong with the checkpoint that the last line names, if anything."""
    if "goes on from " not in line:
        return None
    name = line.partition("goes on from ")[2].partition("; go on with")[0]
    return None if Path(name).is_file() else f"no such checkpoint: {line}"


def two_runs(template: Template, subject: str, work: Path, rng: random.Random) -> Result:
    """Start a stage twice at once: one is refused in a line, or finds it done, and the other is not disturbed."""
    part = "two runs"
    stage = stage_of(subject)
    run = template.before(subject, work)
    first = stage_command(stage, run)
    time.sleep(rng.uniform(0, 0.5 * template.seconds(subject)))
    second = stage_command(stage, run)
    endings = [first.wait(), second.wait()]
    refused = [ending for ending in endings if ending.code != 0]
    if len(refused) > 1:
        return Result(part, subject, WRONG, f"both failed: {endings[0].told} | {endings[1].told}")
    for ending in refused:
        if not ending.is_clear or "is being written by process" not in ending.told:
            return Result(part, subject, WRONG, ending.errors[-600:])
    (ended, *_) = [ending for ending in endings if ending.code == 0]
    return template.compare(subject, run, ended, part)


def set_clock_back(template: Template, subject: str, work: Path, days: float) -> Result:
    """Let what a killed stage left be of another day: its times lie in the future, as after a clock was set back."""
    part = "clock"
    stage = stage_of(subject)
    run = template.before(subject, work)
    command = stage_command(stage, run)
    time.sleep(0.6 * template.seconds(subject))
    if not command.has_ended():
        command.send(signal.SIGKILL)
    command.wait()
    moved = time.time() + days * 86400
    for path in run.rglob("*"):
        os.utime(path, (moved, moved))
    return template.compare(subject, run, finish(stage, run), part)


def jump_clock(template: Template, subject: str, work: Path, days: float) -> Result:
    """Kill a stage and let it go on in a process whose clock is of another day."""
    part = "clock of the process"
    stage = stage_of(subject)
    if not can_shift():
        return Result(part, subject, SKIPPED, "another clock needs a compiler of C")
    run = template.before(subject, work)
    command = stage_command(stage, run)
    time.sleep(0.6 * template.seconds(subject))
    if not command.has_ended():
        command.send(signal.SIGKILL)
    command.wait()
    return template.compare(subject, run, finish(stage, run, round(days * 86400)), part)


def fill_disk(template: Template, subject: str, work: Path, share: float) -> list[Result]:
    """Let a stage run on a disk that holds a share of what it writes; then give it room."""
    part = "disk full"
    stage = stage_of(subject)
    work.mkdir(parents=True, exist_ok=True)
    if not _mount(work, "size=512m"):
        return [Result(part, subject, SKIPPED, "a small disk (tmpfs) needs root")]
    try:
        run = template.before(subject, work / "run")
        before = _pages(run)
        growth = _pages(template.run / stage) - _pages(run / stage)
        size = (before + int(share * growth) + 1) * PAGE
        _mount(work, f"remount,size={size}")
        ending = finish(stage, run)
        _mount(work, "remount,size=512m")
        if ending.code == 0:
            first = template.compare(subject, run, ending, part)
        else:
            outcome = CLEAR if ending.is_clear and ending.code == 1 else WRONG
            first = Result(part, subject, outcome, "" if outcome == CLEAR else ending.errors[-900:])
        return [first, template.compare(subject, run, finish(stage, run), "room made")]
    finally:
        subprocess.run(["umount", work], check=False)


def _mount(place: Path, options: str) -> bool:
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _pages(folder: Path) -> int:
    """Pages of memory that a folder's files and folders take on a tmpfs."""
    pages = 0
    for path in folder.rglob("*"):
        pages += -(-path.stat().st_size // PAGE) if path.is_file() else 1
    return pages


def flip(path: Path) -> None:
    """Turn a bit in the middle of a file over, as a disk does it, which keeps the file's times."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    """Leave half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    """Leave nothing in a file."""
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {"flip": flip, "cut": cut, "empty": empty, "delete": Path.unlink}


def damage_output(template: Template, stage: str, name: str, kind: str, work: Path) -> list[Result]:
    """Damage an output of a finished stage: `verify` names it, and no bundle is made of it."""
    part = "damaged outputs"
    subject = f"{stage}/{_kind_of(name)}"
    run = copy_run(template.run, work, ("export",))
    DAMAGES[kind](run / stage / name)
    verified = Command("train", "verify", run).wait()
    results = [_named(part, f"verify: {subject}", verified, name)]

    exported = finish("export", run)
    if stage != "export":
        results.append(_named(part, f"export: {subject}", exported, name))
    return results


def _named(part: str, subject: str, ending: Ending, name: str) -> Result:
    if ending.is_clear and Path(name).name in ending.told:
        return Result(part, subject, CLEAR)
    return Result(part, subject, WRONG, f"exit code {ending.code}: {ending.errors[-600:]}")


def damage_state(template: Template, stage: str, name: str, kind: str, work: Path) -> Result:
    """Damage a file that a stage goes on from: the same weights, or one clear line and the same weights without it."""
    part = "damaged states"
    subject = f"{stage}/{_kind_of(name)}"
    run = template.before(stage, work)
    folder = shutil.copytree(template.run / stage, run / stage)
    (folder / "stage.json").unlink()
    if stage == SEGMENTER:
        # As it is in the middle of the training.
        for path in folder.glob("fold_*"):
            path.unlink()
    path = folder / name
    DAMAGES[kind](path)
    ending = finish(stage, run)
    if ending.code == 0:
        return replace(template.compare(stage, run, ending, part), subject=subject)
    if not ending.is_clear or path.name not in ending.told:
        return Result(part, subject, WRONG, f"{kind} {name}, exit code {ending.code}: {ending.errors[-600:]}")
    path.unlink()
    again = template.compare(stage, run, finish(stage, run), part)
    return again if again.outcome == WRONG else Result(part, subject, CLEAR)


def _kind_of(name: str) -> str:
    path = Path(name)
    return path.suffix or path.name
