"""Runs damaged files through readers, in processes that are watched from outside and replaced where they die."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import faulthandler
import io
import json
import logging
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.reliability.fuzz.guard import Coverage, Limits, Watch, cpu_seconds, limit_memory, peak_bytes
from tests.reliability.fuzz.mutations import BYTES, Mutation, several
from tests.reliability.fuzz.oracle import WrongError
from vestibule.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("vestibule", "training", "evaluation", "contract")
GOOD = ("refused", "accepted", "warned")
"""Verdicts that are right; every other one is a failure."""
DEADLY = ("hung", "killed")
"""Verdicts over which the process was lost."""
TRACED = 0.25
"""Share of the files that are read with their lines traced, which costs several times the reading."""
FITTING = 0.95
"""Share of the files that are called as what they are."""
MOST_KEPT = 300
"""Files of a kind that were kept because they reached new lines."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file, how it is damaged, and what reads it."""

    name: str
    seeds: list[bytes]
    names: tuple[str, ...]
    """What the damaged file may be called."""
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], None]
    """Raises InputError for what is refused, WrongError for what is taken and should not be."""
    weight: float = 1.0
    """Share of the files, beside the other kinds."""
    has_own_writes: bool = True
    """Whether the reader may write, in the folder of the file alone."""


@dataclasses.dataclass
class Tally:
    """What became of the files of a kind."""

    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    lines: int = 0
    """Lines of the project that they reached."""
    kept: int = 0
    peak_bytes: int = 0
    slowest_s: float = 0.0
    failures: list[dict] = dataclasses.field(default_factory=list)


def run(
    kinds: list[tuple[Kind, int]],
    seed: int,
    workers: int,
    keep: Path,
    tell: Callable[[str], None],
    limits: Limits,
) -> dict[str, Tally]:
    """Damage files of each kind and read them.

    Args:
        kinds: Each with the number of its files.
        seed: The same seed damages the same files in the same way.
        workers: Kinds that are tried at the same time.
        keep: Folder for files that failed.
        tell: Gets a line for each failure.
        limits: What no file may cost.

    Returns:
        What became of them, by the kind's name.
    """
    tallies = {kind.name: Tally() for kind, _ in kinds}
    waiting = [(kind, 0, count) for kind, count in reversed(kinds)]
    running: dict[int, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                child = _Child(*waiting.pop(), seed, limits)
                running[child.stream] = child
            ready, _, _ = select.select(list(running), [], [], 0.25)
            for stream in ready:
                child = running[stream]
                if not child.read_lines(tallies[child.kind.name], keep, tell):
                    del running[stream]
                    rest = child.close(tallies[child.kind.name], keep, tell)
                    if rest is not None:
                        waiting.append(rest)
            for child in running.values():
                child.end_if_hanging()
    finally:
        for child in running.values():
            child.kill()
    return tallies


class _Child:
    """A process that damages and reads the files of one kind, from one number on."""

    def __init__(self, kind: Kind, first: int, count: int, seed: int, limits: Limits) -> None:
        self.kind, self.count, self.seed = kind, count, seed
        self._limits = limits
        self.scratch = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind.name}-"))
        self._under_way: int | None = None
        self._last = first - 1
        self._begun = (0.0, 0.0)
        self._hung = False
        self._rest = b""
        self.stream, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.stream)
            _work(kind, first, count, seed, limits, self.scratch, writer)
        os.close(writer)

    def read_lines(self, tally: Tally, keep: Path, tell: Callable[[str], None]) -> bool:
        """Take in what the process says; False where it has ended."""
        piece = os.read(self.stream, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "begins" in said:
                self._under_way = self._last = said["begins"]
                self._begun = (time.monotonic(), cpu_seconds(self.pid))
                continue
            self._under_way = None
            tally.lines = max(tally.lines, said["lines"])
            tally.kept = max(tally.kept, said["kept"])
            tally.peak_bytes = max(tally.peak_bytes, said["peak"])
            tally.slowest_s = max(tally.slowest_s, said["seconds"])
            self._note(said["number"], said["verdict"], said["detail"], tally, keep, tell)
        return bool(piece)

    def end_if_hanging(self) -> None:
        if self._under_way is None or self._hung:
            return
        begun, used = self._begun
        is_slow = cpu_seconds(self.pid) - used > self._limits.cpu_seconds
        if is_slow or time.monotonic() - begun > self._limits.wall_seconds:
            self._hung = True
            os.kill(self.pid, signal.SIGKILL)

    def close(self, tally: Tally, keep: Path, tell: Callable[[str], None]) -> tuple[Kind, int, int] | None:
        """Note the file that the process died of; what is left to do where there is more."""
        os.close(self.stream)
        _, status = os.waitpid(self.pid, 0)
        number = self._under_way
        if number is not None:
            verdict = "hung" if self._hung else "killed"
            self._note(number, verdict, f"exit status {status}", tally, keep, tell)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if number is None and status and self._last + 1 < self.count:
            raise RuntimeError(f"{self.kind.name}: the process failed behind file {self._last}, by itself")
        following = self._last + 1
        return (self.kind, following, self.count) if following < self.count else None

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _note(
        self, number: int, verdict: str, detail: str, tally: Tally, keep: Path, tell: Callable[[str], None]
    ) -> None:
        tally.counts[verdict] += 1
        if verdict in GOOD:
            return
        kept = keep / f"{self.kind.name}-{self.seed}-{number}"
        keep.mkdir(parents=True, exist_ok=True)
        # What a process failed over, it has put there itself, unless it died.
        place = self.scratch / ("in" if verdict in DEADLY else f"failed-{number}")
        if place.is_dir() and not kept.exists():
            shutil.copytree(place, kept, symlinks=True)
            shutil.rmtree(place, ignore_errors=True)
        (keep / f"{kept.name}.txt").write_text(f"{verdict}\n{detail}\n", encoding="utf-8", errors="backslashreplace")
        cause = detail.strip().splitlines()[-1:] or [""]
        tally.failures.append({"number": number, "verdict": verdict, "cause": cause[0]})
        tell(f"{self.kind.name} {number}: {verdict}: {cause[0][:300]}  ({kept})")


def _work(kind: Kind, first: int, count: int, seed: int, limits: Limits, scratch: Path, writer: int) -> None:
    """What the process does; it never returns."""
    code = 1
    try:
        _quiet(scratch)
        limit_memory(3 * limits.memory_bytes)
        watch = Watch([scratch])
        coverage = Coverage(ROOT, PACKAGES)
        corpus = list(kind.seeds)
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            for number in range(first, count):
                rng = random.Random(f"{seed} {kind.name} {number}")
                base = rng.choice(corpus)
                content = _damaged(kind, base, rng)
                _clear(scratch / "in")
                path = scratch / "in" / _name(kind, content, rng)
                path.write_bytes(content)
                print(json.dumps({"begins": number}), file=stream, flush=True)

                begin = time.process_time()
                traced = coverage if rng.random() < TRACED else contextlib.nullcontext()
                verdict, detail = _judge(kind, path, watch, traced)
                seconds = time.process_time() - begin
                if verdict in GOOD and peak_bytes() > limits.memory_bytes:
                    verdict, detail = "memory", f"{peak_bytes() >> 20} MiB"
                if verdict in GOOD and seconds > limits.cpu_seconds:
                    verdict, detail = "slow", f"{seconds:.1f} s"
                if verdict not in GOOD:
                    shutil.copytree(scratch / "in", scratch / f"failed-{number}", symlinks=True)
                reached_new = traced is coverage and coverage.is_new
                if reached_new and verdict in GOOD and len(corpus) < MOST_KEPT and len(content) < 1 << 20:
                    corpus.append(content)
                said = {
                    "number": number,
                    "verdict": verdict,
                    "detail": detail,
                    "seconds": seconds,
                    "peak": peak_bytes(),
                }
                said |= {"lines": coverage.lines, "kept": len(corpus) - len(kind.seeds)}
                print(json.dumps(said), file=stream, flush=True)
                # The peak of a process never falls, so that the next file needs another one.
                if verdict == "memory":
                    os._exit(0)
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def _damaged(kind: Kind, base: bytes, rng: random.Random) -> bytes:
    """Another content; a file that is too odd for a mutation, which reads it itself, is damaged in its bytes."""
    try:
        return several(kind.mutations, base, rng)
    except Exception:
        return several(BYTES, base, rng)


def _name(kind: Kind, content: bytes, rng: random.Random) -> str:
    """What to call a file: mostly as packed where it is packed, or little else than that would be refused."""
    is_packed = content.startswith(b"\x1f\x8b")
    fitting = [name for name in kind.names if name.lower().endswith(".gz") == is_packed]
    if fitting and rng.random() < FITTING:
        return rng.choice(fitting)
    return rng.choice(kind.names)


def _judge(kind: Kind, path: Path, watch: Watch, traced: contextlib.AbstractContextManager) -> tuple[str, str]:
    """Read one file; the verdict, and what is to be told of it."""
    warnings: list[str] = []
    handler = _Collector(warnings)
    logging.getLogger().addHandler(handler)
    watch.found.clear()
    watch.is_on = True
    try:
        with traced, contextlib.redirect_stdout(io.StringIO()):
            kind.read(path)
        verdict, detail = "accepted", ""
    except InputError as error:
        verdict, detail = "refused", str(error)
        if not detail.strip():
            verdict, detail = "traceback", "InputError without a cause"
    except WrongError as error:
        # A warning that names the file tells the user to look.
        verdict, detail = ("warned", "") if any(path.name in text for text in warnings) else ("wrong", str(error))
    except BaseException:
        verdict, detail = "traceback", traceback.format_exc()
    finally:
        watch.is_on = False
        logging.getLogger().removeHandler(handler)
    if watch.found:
        verdict, detail = "outside", "\n".join(watch.found[:5])
    return verdict, detail


class _Collector(logging.Handler):
    """Gathers warnings."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


def _quiet(scratch: Path) -> None:
    """Send what libraries print nowhere, and their temporary files to the scratch folder."""
    # Where a library aborts is told by the verdict, once.
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    temporary = scratch / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(scratch)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
