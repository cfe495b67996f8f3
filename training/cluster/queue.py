"""What Slurm says of jobs: all of them by one `squeue`, and by one `sacct` where there is accounting."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

LIVING = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "RESIZING")
"""States of jobs that may still end well."""
PENDING = "PENDING"
ASK_S = 60
"""A busy controller takes long to answer."""
ARRAY = re.compile(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]")


@dataclass(frozen=True)
class Queued:
    """A job as Slurm knows it."""

    state: str
    """Slurm's word."""
    reason: str = ""
    """Why it waits, in Slurm's word."""


def queued() -> dict[str, Queued]:
    """All jobs of this user that the controller remembers, by number, `ARRAY_TASK` for tasks of arrays.

    Nothing where there is no Slurm, or it does not answer.
    """
    user = getpass.getuser()
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={user}", "--format=%i|%T|%r"]
    return _parsed(_answer(command))


def accounted(numbers: Iterable[str]) -> dict[str, Queued]:
    """Jobs that the controller has forgotten, from accounting; nothing where there is none."""
    wanted = ",".join(sorted({number.partition("_")[0] for number in numbers}))
    if not wanted:
        return {}
    command = ["sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={wanted}", "--format=JobID,State,Reason"]
    return _parsed(_answer(command))


def _answer(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ASK_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _parsed(answer: str) -> dict[str, Queued]:
    """Jobs from lines `NUMBER|STATE|REASON`."""
    found = {}
    for line in answer.splitlines():
        fields = line.strip().split("|")
        if len(fields) != 3:
            continue
        number, state, reason = fields
        # `CANCELLED by 1000`
        told = Queued(state.partition(" ")[0], reason)
        for one in _tasks(number):
            found[one] = told
    return found


def _tasks(number: str) -> list[str]:
    """`7_[0-2,5%4]` as `7_0`, `7_1`, `7_2`, `7_5`; any other number as it is."""
    match = ARRAY.match(number)
    if match is None:
        return [number]
    tasks = []
    for span in match[2].split(","):
        first, _, last = span.partition("-")
        for task in range(int(first), int(last or first) + 1):
            tasks.append(f"{match[1]}_{task}")
    return tasks
