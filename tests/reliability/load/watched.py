"""A process that is watched from outside: memory, open handles and pace while it works."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

MEMORY_MARGIN_BYTES = 48 << 20
"""By how much the memory of the last tenth of the work may exceed that of the second tenth."""
HANDLES_MARGIN = 2
PACE_MARGIN = 1.5
"""How many times as long the last tenth may take; other processes on the machine are slow, too."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a process holds at a moment."""

    seconds: float
    done: int
    """Pieces of work that are finished."""
    memory_bytes: int
    handles: int


def watch(process: subprocess.Popen, done: Callable[[], int], until: Callable[[], bool]) -> list[Sample]:
    """Look at a process ten times a second until it ends, or `until` says so."""
    samples = []
    begin = time.monotonic()
    while process.poll() is None and not until():
        try:
            held = _held(process.pid)
        except OSError:
            break
        samples.append(Sample(time.monotonic() - begin, done(), *held))
        time.sleep(0.1)
    return samples


def _held(pid: int) -> tuple[int, int]:
    """Memory in bytes and open handles of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    for line in status.splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024, len(os.listdir(f"/proc/{pid}/fd"))
    raise OSError("the process has ended")


@dataclasses.dataclass(frozen=True)
class Course:
    """What changed between the second and the last tenth of the work; the first one warms up."""

    total: int
    early: Sample
    late: Sample
    early_pace_s: float
    """Seconds a piece of work."""
    late_pace_s: float

    @property
    def faults(self) -> list[str]:
        """What is not flat."""
        found = []
        grown = self.late.memory_bytes - self.early.memory_bytes
        if grown > MEMORY_MARGIN_BYTES:
            found.append(f"memory grew by {grown >> 20} MiB")
        if self.late.handles > self.early.handles + HANDLES_MARGIN:
            found.append(f"handles grew from {self.early.handles} to {self.late.handles}")
        if self.late_pace_s > PACE_MARGIN * self.early_pace_s:
            found.append(f"pace fell from {self.early_pace_s:.3f} to {self.late_pace_s:.3f} s")
        return found

    def row(self, name: str) -> str:
        """A line of a table in Markdown."""
        memory = f"{self.early.memory_bytes >> 20} | {self.late.memory_bytes >> 20}"
        handles = f"{self.early.handles} | {self.late.handles}"
        pace = f"{self.early_pace_s * 1000:.0f} | {self.late_pace_s * 1000:.0f}"
        return f"| {name} | {self.total} | {memory} | {handles} | {pace} |"


def course_of(samples: list[Sample], total: int) -> Course:
    """What the samples of `total` pieces of work tell. Raises ValueError where they are too few."""
    tenth = total / 10
    early = [sample for sample in samples if tenth <= sample.done <= 2 * tenth]
    late = [sample for sample in samples if total - tenth <= sample.done < total]
    if len(early) < 2 or len(late) < 2:
        raise ValueError(f"{len(samples)} samples of {total} pieces of work are too few to compare")
    return Course(total, _largest(early), _largest(late), _pace(early), _pace(late))


def _largest(samples: list[Sample]) -> Sample:
    last = samples[-1]
    memory_bytes = max(sample.memory_bytes for sample in samples)
    handles = max(sample.handles for sample in samples)
    return dataclasses.replace(last, memory_bytes=memory_bytes, handles=handles)


def _pace(samples: list[Sample]) -> float:
    first, last = samples[0], samples[-1]
    return (last.seconds - first.seconds) / max(1, last.done - first.done)
