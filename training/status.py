"""What a run is doing, for somebody who looks in: `status.json` in its folder, with the warnings of each stage."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from vestibule.files import read_json, write_json
from vestibule.locks import locked

STATUS = "status.json"
"""File in a run's folder."""

logger = logging.getLogger(__name__)


def begin(run_dir: Path, stage: str) -> None:
    """Note that a stage has begun; what an earlier try of it was warned of is forgotten."""
    _change(run_dir, stage, "running", None)


def end(run_dir: Path, stage: str) -> None:
    """Note that a stage is done."""
    _change(run_dir, stage, "done", None)


def warn(run_dir: Path, stage: str, text: str) -> None:
    """Say on stderr, and keep in the run, what may make the result of a stage useless."""
    logger.warning("warning: %s: %s", stage, text)
    _change(run_dir, stage, None, text)


def warnings_of(run_dir: Path, stage: str) -> list[str]:
    """What a stage was warned of."""
    entry = _read(run_dir).get(stage, {})
    return [warning["text"] for warning in entry.get("warnings", [])]


def _change(run_dir: Path, stage: str, state: str | None, warning: str | None) -> None:
    path = run_dir / STATUS
    now = datetime.now(UTC).isoformat(timespec="seconds")
    # Two stages of a run may run at once.
    with locked(path):
        status = _read(run_dir)
        entry = status.get(stage, {})
        if state == "running":
            entry = {"begun": now, "warnings": []}
        if state is not None:
            entry["state"] = state
        entry["changed"] = now
        if warning is not None:
            entry.setdefault("warnings", []).append({"time": now, "text": warning})
        status[stage] = entry
        write_json(path, status)


def _read(run_dir: Path) -> dict[str, dict]:
    status = read_json(run_dir / STATUS)
    if not isinstance(status, dict):
        return {}
    return {stage: entry for stage, entry in status.items() if isinstance(entry, dict)}
