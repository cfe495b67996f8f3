"""The bundle: what inference needs of a finished run, with its provenance and a model card."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from training.arms import ARMS, Translator, arms_of, default_of
from training.config import RunConfig, stages_of
from training.config.view import as_recorded
from training.data.challenge_rules import read_audit
from training.data.reference_slice import RECORD
from training.run_folder import code_version, is_done, read_record
from training.stage_table import EXPORT, HARMONISER, POSTPROCESSING, Stage
from training.stages.model_card import model_card
from training.stages.postprocessing import read_choice
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.locks import claimed
from vestibule.networks import generator_to_dict
from vestibule.tensors import read_tensors
from vestibule.weights import open_bundle, write_bundle

NOTICES = {
    "phantom": "phantom weights: trained on synthetic images, for phantoms only, not for patients",
    "challenge": "research weights: not a medical device, not for diagnosis or treatment",
}
CARD = "MODEL_CARD.md"
"""File of the model card in a bundle."""


def export(config: RunConfig, run_dir: Path) -> list[Path]:
    """Pack the arms into `export/bundle`: safetensors, plans, manifest and model card.

    Raises InputError for an arm that the table of arms does not have.
    """
    folder = EXPORT.folder(run_dir) / "bundle"
    tensors: dict[str, dict] = {}
    documents: dict[str, dict] = {}
    networks = {}

    for name in config.arms:
        if name not in ARMS:
            known = ", ".join(ARMS)
            raise InputError(f"arms: {name!r} is none of {known}, so that nothing tells what to export for it")
        arm = ARMS[name]
        segmenter = _pack_segmenter(arm.segmenter, config, run_dir, tensors, documents)
        translator = None
        if arm.translator:
            translator = _pack_translator(arm.name, arm.translator, config, run_dir, tensors)
        networks[name] = {"translator": translator, "segmenter": segmenter}

    manifest = _manifest(config, run_dir, networks)
    write_bundle(folder, manifest, tensors, documents, {CARD: model_card(manifest)})
    return [path for path in folder.rglob("*") if path.is_file()]


def _pack_segmenter(stage: Stage, config: RunConfig, run_dir: Path, tensors: dict, documents: dict) -> dict:
    """Add a segmenter's weights and documents to the bundle's; what the manifest says of it."""
    folder = stage.folder(run_dir)
    settings = config.segmenter
    choice = read_choice(run_dir, stage.name) if config.postprocessing else None
    folds: Sequence[str | int] = settings.folds or ("all",)
    mirrored = settings.mirror_at_test
    if choice:
        folds, mirrored = choice["folds"], choice["mirrored"]
    own = []
    for fold in folds:
        file = f"fold_{fold}"
        name = f"{stage.name}_{file}"
        tensors[name] = read_tensors(folder / f"{file}.safetensors")
        own.append(name)

    plans = f"{stage.name}_plans"
    dataset = f"{stage.name}_dataset"
    documents[plans] = read_json(folder / "plans.json")
    documents[dataset] = read_json(folder / "dataset.json")
    entry = {
        "plans": plans,
        "dataset": dataset,
        "configuration": settings.configuration,
        "tensors": own,
        "mirror_axes": list(settings.mirror_axes(mirrored)),
        "tile_step": settings.tile_step,
    }
    if settings.focus:
        entry["focus"] = True
    if choice:
        entry["components"] = choice["components"]
    return entry


def _pack_translator(arm: str, of: Translator, config: RunConfig, run_dir: Path, tensors: dict) -> dict:
    """Add an arm's T2 -> T1 generator to the bundle's weights; what the manifest says of it."""
    name = f"translator_{arm}"
    folder = of.stage.folder(run_dir)
    tensors[name] = read_tensors(folder / f"{of.file}.safetensors")
    settings = getattr(config, of.section)
    return {"generator": generator_to_dict(settings.generator), "tensors": name}


def _manifest(config: RunConfig, run_dir: Path, networks: dict) -> dict:
    """What the bundle says of itself; the run's stages are done."""
    now = datetime.now(UTC)
    program = Path(sys.argv[0]).name
    return {
        "name": config.name,
        "created": now.isoformat(timespec="seconds"),
        "code_version": code_version(),
        "command": shlex.join([program, *sys.argv[1:]]),
        "seed": config.seed,
        "edition": config.edition,
        "intended_use": config.intended_use,
        "notice": NOTICES[config.intended_use],
        "arms": list(config.arms),
        "default_arm": config.default_arm or default_of(config.arms),
        "preprocessing": asdict(config.prepare),
        "networks": networks,
        "scores": {},
        "provenance": _provenance(config, run_dir),
    }


def _provenance(config: RunConfig, run_dir: Path) -> dict:
    """What the weights were trained on and by what."""
    stages = {}
    for stage in stages_of(config):
        if stage == EXPORT or not is_done(run_dir, stage):
            continue
        record = read_record(run_dir, stage)
        stages[stage.name] = {
            "fingerprint": record["fingerprint"],
            "seconds": record["seconds"],
            "code_version": record["code_version"],
        }

    reference = None
    if HARMONISER.name in stages:
        reference = read_json(HARMONISER.folder(run_dir) / RECORD)

    provenance = read_audit(run_dir)
    provenance["training_data"] = f"crossMoDA {config.edition}"
    if config.phantom:
        provenance["training_data"] = "phantoms made by this toolkit"
    provenance["reference_slice"] = reference or {}
    if config.postprocessing:
        choices = {arm.segmenter.name: read_choice(run_dir, arm.segmenter.name) for arm in arms_of(config.arms)}
        provenance[POSTPROCESSING.name] = choices
    provenance["config"] = as_recorded(config)
    provenance["stages"] = stages
    return provenance


def publish(run_dir: Path, scores_path: Path, cases: int, out_dir: Path) -> None:
    """Write the run's bundle elsewhere, with its scores in manifest and model card.

    Args:
        run_dir: Folder of a finished run.
        scores_path: What `vestibule table1 --json` wrote.
        cases: Number of unseen cases behind the scores.
        out_dir: Folder of the new bundle.

    Raises:
        InputError: The bundle or the scores are missing.
    """
    bundle = open_bundle(EXPORT.folder(run_dir) / "bundle")
    scores = read_json(scores_path)
    if not scores or "arms" not in scores:
        raise InputError(f"{scores_path}: holds no scores; make it with vestibule table1 --json")

    manifest = dict(bundle.manifest)
    manifest["scores"] = {"cases": cases, **scores}
    tensors: dict[str, dict] = {}
    documents: dict[str, dict] = {}
    for name in bundle.manifest["files"]:
        file = Path(name)
        if file.suffix == ".safetensors":
            tensors[file.stem] = bundle.tensors(file.stem)
        elif file.suffix == ".json":
            documents[file.stem] = bundle.document(file.stem)
    with claimed(out_dir):
        write_bundle(out_dir, manifest, tensors, documents, {CARD: model_card(manifest)})
