"""The chain of stages: what each needs, what is done and unchanged, what a stage leaves behind.

A stage's folder holds, from its start, `config.json` (its sections of the configuration, seed, code version, hashes of
its inputs, fingerprint), and `stage.json`, written last. A stage whose fingerprint is that of its `stage.json` is
skipped; one that was started with the same fingerprint is resumed; any other folder of that name is cleared first.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from training.config import RunConfig, stages_of
from training.config.view import SectionView, sections_of
from training.gan.distributed import from_leader, leads
from training.run_folder import DATA, FINISHED, STARTED, code_version, read_outputs
from training.stage_table import PREPARE, STAGES, TRANSFER, Stage
from vestibule.errors import InputError
from vestibule.files import file_sha256, read_json, write_json

logger = logging.getLogger(__name__)

OLD_FOLDERS = ("singan", "blend")
"""Stages of earlier versions, by which a run that one of them began is known."""


def run_stage(stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None] = logger.info) -> bool:
    """Run one stage, or skip it where it is done and unchanged.

    Args:
        stage: A row of the table.
        config: The whole configuration; the stage is given what its row names.
        run_dir: Folder of the run.
        report: Called with a line on what happens.

    Returns:
        Whether it ran.

    Raises:
        InputError: A stage that it needs is missing, or the run was begun by an earlier version.
    """
    check_age(run_dir)
    record = from_leader(lambda: _begin(stage, config, run_dir, report))
    if record is None:
        return False
    begin = time.monotonic()
    module, _, function = stage.entry.partition(":")
    entry = getattr(importlib.import_module(module), function)
    # A stage that names no sections is given the configuration itself, which it may record whole.
    view = config if stage.sections is None else SectionView(config, stage)
    outputs = entry(view, run_dir) if stage.shared else from_leader(lambda: entry(view, run_dir))
    seconds = round(time.monotonic() - begin, 1)
    from_leader(lambda: _finish(stage, record, outputs, seconds, run_dir))
    if leads():
        report(f"{stage.name}: done in {seconds:.0f} s")
    return True


def check_age(run_dir: Path) -> None:
    """Raise InputError where an earlier version began the run, whose stages and keys had other names."""
    old = next((run_dir / name for name in OLD_FOLDERS if (run_dir / name / STARTED).is_file()), None)
    if old is None:
        for stage in STAGES.values():
            record = read_json(stage.folder(run_dir) / STARTED) or {}
            sections = record.get("config", {})
            if set(OLD_FOLDERS) & set(sections) or "injection_scale" in (sections.get(TRANSFER.name) or {}):
                old = stage.folder(run_dir)
                break
    if old is not None:
        raise InputError(
            f"{old}: an earlier version of vestibule began this run, with other stages and keys; finish it with that "
            "version, or name a new folder by --run. Nothing was changed in it"
        )


def _begin(stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None]) -> dict | None:
    """Make the stage's folder ready; what `config.json` holds, or None where the stage is done."""
    folder = stage.folder(run_dir)
    record = _describe(stage, config, run_dir)
    done = read_json(folder / FINISHED)
    if done and done["fingerprint"] == record["fingerprint"] and _outputs_intact(folder, done["outputs"]):
        report(f"{stage.name}: done and unchanged, skipped")
        return None
    started = read_json(folder / STARTED)
    if not started or started["fingerprint"] != record["fingerprint"]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(folder / STARTED, record)
    (folder / FINISHED).unlink(missing_ok=True)
    report(f"{stage.name}: {stage.title}")
    return record


def _finish(stage: Stage, record: dict, outputs: list[Path], seconds: float, run_dir: Path) -> None:
    folder = stage.folder(run_dir)
    hashes = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(outputs)}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / FINISHED, {**record, "seconds": seconds, "finished": finished, "outputs": hashes})


def _describe(stage: Stage, config: RunConfig, run_dir: Path) -> dict:
    """What a stage is made from, and the fingerprint of it."""
    values = asdict(config)
    inputs: dict[str, dict] = {}
    for needed in _needs_of(stage, config):
        inputs[needed.name] = read_outputs(run_dir, needed)
    if stage == PREPARE and not config.phantom:
        inputs["data"] = _listing(read_json(run_dir / DATA) or {})
    record = {
        "stage": stage.name,
        "seed": config.seed,
        "config": {section: values[section] for section in sections_of(stage)},
        "inputs": inputs,
    }
    text = json.dumps(record, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return {**record, "fingerprint": fingerprint, "code_version": code_version()}


def _needs_of(stage: Stage, config: RunConfig) -> list[Stage]:
    """Stages of the configuration that `stage` reads."""
    present = stages_of(config)
    if stage.needs is None:
        return [other for other in present if other != stage]
    return [other for other in present if other in stage.needs]


def _listing(record: dict) -> dict[str, list[int]]:
    # Size and time of every file tell a changed download without reading all of it.
    if not record:
        return {}
    root = Path(record["data"])
    listing = {}
    for path in sorted(root.rglob("*.nii*")):
        if path.is_file():
            listing[str(path.relative_to(root))] = [path.stat().st_size, path.stat().st_mtime_ns]
    return listing


def _outputs_intact(folder: Path, outputs: dict[str, str]) -> bool:
    return all((folder / name).is_file() for name in outputs)
