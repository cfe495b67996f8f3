"""What a run is doing, for somebody who looks in: `status.json` in its folder, an entry for each stage.

An entry has `state` (waiting, running, done, failed, stopped), `begun`, `changed`, `warnings`, and, where they are
known: `needs` (stages it waits for), `progress` (the loop it is in), `losses`, `error` (the last line of a failure),
`log`, `log_lines` (its last ones, of a job that failed), and `parts`, which has the same for parts of a stage that are
made apart. Whether a running stage still has a process is told by its lock, not here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vestibule import progress
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.locks import locked
from vestibule.logs import log_file

STATUS = "status.json"
"""File in a run's folder."""
WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"
"""States of a stage or of a part of one."""
PARTS = "parts"
"""Key of a stage's entry that holds the entries of its parts."""
NOTE_EVERY_S = 10.0
"""Between two notes of how far a loop is: each locks and writes the file."""

logger = logging.getLogger(__name__)
_watched: list[_Watch] = []


def plan(run_dir: Path, needs: dict[str, list[str]]) -> None:
    """Note which stages a run is to have, and which others each of them reads."""

    def change(status: dict[str, dict]) -> None:
        for stage in list(status):
            if stage not in needs and status[stage].get("state") == WAITING:
                del status[stage]
        for stage, needed in needs.items():
            entry = status.setdefault(stage, {"state": WAITING})
            entry["needs"] = needed

    _change(run_dir, change)


def begin(run_dir: Path, stage: str, part: str | None = None) -> None:
    """Note that a stage has begun; what an earlier try of it was warned of is forgotten."""

    def change(status: dict[str, dict]) -> None:
        stage_entry = status.setdefault(stage, {"state": WAITING})
        entry = _entry(status, stage, part)
        kept = {key: entry[key] for key in ("needs", PARTS, "seconds") if key in entry}
        entry.clear()
        entry.update(state=RUNNING, begun=_now(), changed=_now(), warnings=[], **kept)
        stage_entry.setdefault("warnings", [])

    _change(run_dir, change)


def end(run_dir: Path, stage: str, part: str | None = None, seconds: float | None = None) -> None:
    """Note that a stage is done, and in how many seconds where that is written nowhere else."""

    def change(status: dict[str, dict]) -> None:
        entry = _entry(status, stage, part)
        for key in ("progress", "losses"):
            entry.pop(key, None)
        entry.update(state=DONE, changed=_now())
        if seconds is not None:
            # A part that was there whole takes no time.
            entry["seconds"] = max(seconds, entry.get("seconds", 0.0))

    _change(run_dir, change)


def fail(run_dir: Path, stage: str, part: str | None, last_line: str, log: Path) -> None:
    """Note how a stage or part failed, where it could not do so itself."""

    def change(status: dict[str, dict]) -> None:
        _entry(status, stage, part).update(state=FAILED, error=last_line, log=str(log), changed=_now())

    _change(run_dir, change)


def keep_lines(run_dir: Path, stage: str, part: str | None, lines: list[str]) -> None:
    """Note the last lines of the log of a stage or part that has failed."""

    def change(status: dict[str, dict]) -> None:
        _entry(status, stage, part)["log_lines"] = lines

    _change(run_dir, change)


def forget_failure(run_dir: Path, stage: str, part: str | None) -> None:
    """Note that a stage or part that has failed is to be tried again."""

    def change(status: dict[str, dict]) -> None:
        entry = status.get(stage, {})
        if part is not None:
            entry = entry.get(PARTS, {}).get(part, {})
        if entry.get("state") == FAILED:
            entry["state"] = WAITING
            entry.pop("error", None)
            entry.pop("log_lines", None)

    _change(run_dir, change)


def state_of(run_dir: Path, stage: str, part: str | None = None) -> str:
    """What is noted of a stage or part; `WAITING` where nothing is."""
    entry = read_status(run_dir).get(stage, {})
    if part is not None:
        entry = entry.get(PARTS, {}).get(part, {})
    return entry.get("state", WAITING)


def start_over(run_dir: Path, stage: str) -> None:
    """Forget all that is noted of a stage, whose folder is made anew."""

    def change(status: dict[str, dict]) -> None:
        entry = status.pop(stage, {})
        if "needs" in entry:
            status[stage] = {"state": WAITING, "needs": entry["needs"]}

    _change(run_dir, change)


def warn(run_dir: Path, stage: str, text: str) -> None:
    """Say on stderr, and keep in the run, what may make the result of a stage useless."""
    logger.warning("warning: %s: %s", stage, text)

    def change(status: dict[str, dict]) -> None:
        entry = _entry(status, stage, None)
        entry["changed"] = _now()
        entry.setdefault("warnings", []).append({"time": _now(), "text": text})

    _change(run_dir, change)


def warnings_of(run_dir: Path, stage: str) -> list[str]:
    """What a stage was warned of."""
    entry = read_status(run_dir).get(stage, {})
    return [warning["text"] for warning in entry.get("warnings", [])]


def measured(losses: dict[str, float]) -> None:
    """Note the losses of a training; where nobody follows the stage, nothing happens."""
    finite = {}
    for name, value in losses.items():
        # JSON has no others, and whoever trains will refuse them.
        if math.isfinite(value):
            finite[name] = float(f"{value:.4g}")
    for watch in _watched:
        watch.losses = finite


@contextlib.contextmanager
def followed(run_dir: Path, stage: str, part: str | None = None) -> Iterator[None]:
    """A block whose loops and losses are noted, and how it fails where it does."""
    watch = _Watch(run_dir, stage, part)
    _watched.append(watch)
    try:
        with progress.heard_by(watch.step):
            yield
    except BaseException as error:
        watch.fail(error)
        raise
    finally:
        _watched.remove(watch)


def read_status(run_dir: Path) -> dict[str, dict]:
    """Entries by stage; none where nothing is noted, or not what a run writes."""
    status = read_json(run_dir / STATUS)
    if not isinstance(status, dict):
        return {}
    return {stage: entry for stage, entry in status.items() if isinstance(entry, dict)}


class _Watch:
    """Notes how far a stage is, now and then, and how it failed."""

    def __init__(self, run_dir: Path, stage: str, part: str | None) -> None:
        self._run_dir = run_dir
        self._place = (stage, part)
        self._loop: tuple[str, int] | None = None
        self._begin_s = 0.0
        self._next_s = 0.0
        self._latest: dict[str, Any] = {}
        self.losses: dict[str, float] = {}

    def step(self, title: str, done: int, total: int | None, start: int) -> None:
        """Hear of a step of a loop."""
        now_s = time.monotonic()
        if self._loop != (title, start):
            self._loop = (title, start)
            self._begin_s = now_s
        self._latest = {"title": title, "done": done, "total": total, "changed": _now()}
        # The time of the first step is not known: the loop is heard of at its end.
        steps = done - start - 1
        if total is not None and steps > 0:
            each_s = (now_s - self._begin_s) / steps
            self._latest["left_s"] = round(each_s * (total - done), 1)
        if now_s >= self._next_s:
            self._next_s = now_s + NOTE_EVERY_S
            self._note({})

    def fail(self, error: BaseException) -> None:
        """Note the end of the stage by an exception."""
        if isinstance(error, KeyboardInterrupt | GeneratorExit):
            self._note({"state": STOPPED})
            return
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        last_line = " ".join(told.split())
        self._note({"state": FAILED, "error": last_line})

    def _note(self, more: dict[str, Any]) -> None:
        content = {"changed": _now(), **more}
        if self._latest:
            content["progress"] = self._latest
        if self.losses:
            content["losses"] = self.losses
        log = log_file()
        if log is not None:
            content["log"] = str(log)

        def change(status: dict[str, dict]) -> None:
            _entry(status, *self._place).update(content)

        # What is only told must neither end a training nor hide why it ended.
        with contextlib.suppress(InputError, OSError):
            _change(self._run_dir, change)


def _entry(status: dict[str, dict], stage: str, part: str | None) -> dict[str, Any]:
    """The entry of a stage, or of a part of it, in what the file holds; it is made."""
    entry = status.setdefault(stage, {})
    if part is None:
        return entry
    return entry.setdefault(PARTS, {}).setdefault(part, {})


def _change(run_dir: Path, change: Callable[[dict[str, dict]], None]) -> None:
    path = run_dir / STATUS
    # Two stages of a run may run at once.
    with locked(path):
        status = read_status(run_dir)
        before = repr(status)
        change(status)
        if repr(status) != before:
            write_json(path, status)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
