"""The chain of stages: what each needs, what is done and unchanged, what a stage leaves behind.

A stage's folder holds, from its start, `config.json` (resolved configuration, seed, code version, hashes of its
inputs, fingerprint), and `stage.json`, written last. A stage whose fingerprint is that of its `stage.json` is skipped;
one that was started with the same fingerprint is resumed; any other folder of that name is cleared first.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from training.config import RunConfig
from training.gan.distributed import from_leader, leads
from vestibule import __version__
from vestibule.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One step of the method."""

    name: str
    needs: tuple[str, ...]
    """Stages whose outputs it reads."""
    sections: tuple[str, ...]
    """Parts of the configuration it depends on."""
    entry: str
    """`module:function`, called with (config, run_dir); returns the outputs' paths."""
    title: str
    shared: bool = False
    """Whether all processes that `torchrun` started train it together; otherwise the first does it alone."""
    arms: tuple[str, ...] = ()
    """Arms that it is for; a configuration without any of them leaves it out. Empty: for all."""


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "phantom", (), ("phantom", "edition"), "training.stages.prepare:make_phantom", "make the phantom population"
        ),
        Stage(
            "prepare", ("phantom",), ("prepare", "edition"), "training.stages.prepare:prepare", "bring all to one grid"
        ),
        Stage(
            "cyclegan",
            ("prepare",),
            ("cyclegan", "precision"),
            "training.stages.cyclegan:train",
            "CycleGAN, T1 <-> T2",
            True,
        ),
        Stage(
            "singan",
            ("prepare",),
            ("singan", "edition", "precision"),
            "training.harmonisers.singan:train",
            "SinGAN on one T2 slice",
            arms=("oneshot", "blending"),
        ),
        Stage(
            "transfer",
            ("prepare", "cyclegan", "singan"),
            ("transfer", "edition"),
            "training.stages.transfer:transfer",
            "tumours into synthetic T2 (B')",
            arms=("oneshot",),
        ),
        Stage(
            "pix2pix",
            ("prepare", "cyclegan", "transfer"),
            ("pix2pix", "precision"),
            "training.stages.pix2pix:train",
            "pix2pix, B' -> T1",
            True,
            ("oneshot",),
        ),
        Stage(
            "segmenter",
            ("prepare",),
            ("segmenter", "edition"),
            "training.stages.segmenter:train",
            "nnU-Net on T1",
            arms=("baseline", "oneshot"),
        ),
        Stage(
            "blend",
            ("prepare", "cyclegan", "singan"),
            ("blend", "edition"),
            "training.stages.augment:blend",
            "synthetic T2 with altered tumours",
            arms=("blending",),
        ),
        Stage(
            "self_training",
            ("prepare", "blend"),
            ("segmenter", "blend", "edition"),
            "training.stages.self_training:train",
            "nnU-Net on synthetic T2, then on its own masks of T2",
            arms=("blending",),
        ),
        Stage(
            "supervised",
            ("prepare",),
            ("segmenter", "edition"),
            "training.stages.segmenter:train_supervised",
            "nnU-Net on labelled T2, the upper bound",
            arms=("supervised",),
        ),
        Stage(
            "export",
            ("prepare", "cyclegan", "singan", "transfer", "pix2pix", "segmenter", "self_training", "supervised"),
            ("name", "intended_use", "edition", "arms", "segmenter"),
            "training.stages.export:export",
            "pack the bundle",
        ),
    )
}


def stage_dir(run_dir: Path, name: str) -> Path:
    """Folder of a stage within a run."""
    return run_dir / name


def run_stage(name: str, config: RunConfig, run_dir: Path, report: Callable[[str], None] = logger.info) -> bool:
    """Run one stage, or skip it where it is done and unchanged. Returns whether it ran.

    Raises InputError where a stage it needs is missing.
    """
    stage = STAGES[name]
    record = from_leader(lambda: _begin(stage, config, run_dir, report))
    if record is None:
        return False
    begin = time.monotonic()
    module, _, function = stage.entry.partition(":")
    entry = getattr(importlib.import_module(module), function)
    outputs = entry(config, run_dir) if stage.shared else from_leader(lambda: entry(config, run_dir))
    from_leader(lambda: _finish(stage, record, outputs, round(time.monotonic() - begin, 1), run_dir))
    if leads():
        report(f"{name}: done in {time.monotonic() - begin:.0f} s")
    return True


def _begin(stage: Stage, config: RunConfig, run_dir: Path, report: Callable[[str], None]) -> dict | None:
    """Make the stage's folder ready; what `config.json` holds, or None where the stage is done."""
    name, folder = stage.name, stage_dir(run_dir, stage.name)
    record = _describe(stage, config, run_dir)
    done = read_json(folder / "stage.json")
    if done and done["fingerprint"] == record["fingerprint"] and _outputs_intact(folder, done["outputs"]):
        report(f"{name}: done and unchanged, skipped")
        return None
    started = read_json(folder / "config.json")
    if not started or started["fingerprint"] != record["fingerprint"]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(folder / "config.json", record)
    (folder / "stage.json").unlink(missing_ok=True)
    report(f"{name}: {stage.title}")
    return record


def _finish(stage: Stage, record: dict, outputs: list[Path], seconds: float, run_dir: Path) -> None:
    folder = stage_dir(run_dir, stage.name)
    hashes = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(outputs)}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / "stage.json", {**record, "seconds": seconds, "finished": finished, "outputs": hashes})


def stages_of(config: RunConfig) -> list[str]:
    """The stages that `config` asks for, in order."""
    return [
        name
        for name, stage in STAGES.items()
        if (config.phantom or name != "phantom") and (not stage.arms or set(stage.arms) & set(config.arms))
    ]


def read_outputs(run_dir: Path, name: str) -> dict[str, str]:
    """Outputs of a finished stage: path relative to its folder -> sha256. Raises InputError where it is not done."""
    done = read_json(stage_dir(run_dir, name) / "stage.json")
    if not done:
        raise InputError(f"{stage_dir(run_dir, name)}: stage {name!r} is not done; run it first")
    return done["outputs"]


def code_version() -> str:
    """Version of the code, with the commit where it runs from a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}+{described.stdout.strip()}"


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, value: dict) -> None:
    """Write `value` whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _describe(stage: Stage, config: RunConfig, run_dir: Path) -> dict:
    values = asdict(config)
    needs = [name for name in stage.needs if name in stages_of(config)]
    inputs = {name: read_outputs(run_dir, name) for name in needs}
    if stage.name == "prepare" and not config.phantom:
        inputs["data"] = _listing(read_json(run_dir / "data.json") or {})
    record = {
        "stage": stage.name,
        "seed": config.seed,
        "config": {section: values[section] for section in stage.sections},
        "inputs": inputs,
    }
    text = json.dumps(record, sort_keys=True, default=str)
    return {**record, "fingerprint": hashlib.sha256(text.encode()).hexdigest(), "code_version": code_version()}


def _listing(record: dict) -> dict[str, list[int]]:
    # Size and time of every file tell a changed download without reading all of it.
    root = Path(record.get("data", ""))
    files = sorted(path for path in root.rglob("*.nii*") if path.is_file()) if record else []
    return {str(path.relative_to(root)): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _outputs_intact(folder: Path, outputs: dict[str, str]) -> bool:
    return all((folder / name).is_file() for name in outputs)


def read_json(path: Path) -> dict | None:
    """The object in a JSON file; None where there is no such file or a killed process left it half written."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
