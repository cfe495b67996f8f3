"""The bundle: what inference needs of a finished run, with its provenance and a model card."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import load_file

from training.arms import ARMS, Arm, default_of
from training.config import RunConfig, stages_of
from training.data.challenge_rules import read_audit
from training.data.reference_slice import RECORD
from training.run_folder import code_version, is_done, read_record
from training.stage_table import EXPORT, HARMONISER, Stage
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import generator_to_dict
from vestibule.weights import open_bundle, write_bundle

NOTICES = {
    "phantom": "phantom weights: trained on synthetic images, for phantoms only, not for patients",
    "challenge": "research weights: not a medical device, not for diagnosis or treatment",
}


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
            raise InputError(
                f"arms: {name!r} is none of {', '.join(ARMS)}, so that nothing tells what to export for it"
            )
        arm = ARMS[name]
        segmenter = _pack_segmenter(arm.segmenter, config, run_dir, tensors, documents)
        translator = _pack_translator(arm, config, run_dir, tensors) if arm.translator else None
        networks[name] = {"translator": translator, "segmenter": segmenter}
    manifest = _manifest(config, run_dir, networks)
    write_bundle(folder, manifest, tensors, documents, {"MODEL_CARD.md": model_card(manifest)})
    return [path for path in folder.rglob("*") if path.is_file()]


def _pack_segmenter(stage: Stage, config: RunConfig, run_dir: Path, tensors: dict, documents: dict) -> dict:
    """Add a segmenter's weights and documents to the bundle's; what the manifest says of it."""
    folder = stage.folder(run_dir)
    own = []
    for fold in config.segmenter.folds or ("all",):
        name = f"{stage.name}_fold_{fold}"
        tensors[name] = load_file(folder / f"fold_{fold}.safetensors")
        own.append(name)
    for document in ("plans", "dataset"):
        documents[f"{stage.name}_{document}"] = read_json(folder / f"{document}.json")
    return {
        "plans": f"{stage.name}_plans",
        "dataset": f"{stage.name}_dataset",
        "configuration": config.segmenter.configuration,
        "tensors": own,
        "mirror_axes": [0, 1, 2] if config.segmenter.mirror_at_test else [],
        "tile_step": config.segmenter.tile_step,
    }


def _pack_translator(arm: Arm, config: RunConfig, run_dir: Path, tensors: dict) -> dict:
    """Add an arm's T2 -> T1 generator to the bundle's weights; what the manifest says of it."""
    of = arm.translator
    name = f"translator_{arm.name}"
    tensors[name] = load_file(of.stage.folder(run_dir) / f"{of.file}.safetensors")
    generator = getattr(config, of.section).generator
    return {"generator": generator_to_dict(generator), "tensors": name}


def _manifest(config: RunConfig, run_dir: Path, networks: dict) -> dict:
    stages = {}
    for stage in stages_of(config):
        if stage == EXPORT or not is_done(run_dir, stage):
            continue
        record = read_record(run_dir, stage)
        stages[stage.name] = {key: record[key] for key in ("fingerprint", "seconds", "code_version")}
    reference = {}
    if HARMONISER.name in stages:
        reference = read_json(HARMONISER.folder(run_dir) / RECORD) or {}
    return {
        "name": config.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": code_version(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": config.seed,
        "edition": config.edition,
        "intended_use": config.intended_use,
        "notice": NOTICES[config.intended_use],
        "arms": list(config.arms),
        "default_arm": config.default_arm or default_of(config.arms),
        "preprocessing": asdict(config.prepare),
        "networks": networks,
        "scores": {},
        "provenance": {
            **read_audit(run_dir),
            "training_data": "phantoms made by this toolkit" if config.phantom else f"crossMoDA {config.edition}",
            "reference_slice": reference,
            "config": asdict(config),
            "stages": stages,
        },
    }


def model_card(manifest: dict) -> str:
    """A Markdown page on what the weights are, what they were trained on, how they score and what they are not for."""
    provenance = manifest["provenance"]
    phantom = manifest["intended_use"] == "phantom"
    lines = [
        f"# Model card: {manifest['name']}",
        "",
        f"**{manifest['notice']}.**",
        "",
        "- Task: segment vestibular schwannoma and cochlea on T2 MRI; labels of crossMoDA "
        f"{manifest['edition']}. Arms: {', '.join(manifest['arms'])}; default: {manifest['default_arm']}.",
        *(f"- Arm `{name}`: {ARMS[name].card}" for name in manifest["arms"] if name in ARMS),
        f"- Trained on: {provenance['training_data']}. {_rules_line(provenance)}",
        f"- Made by `{manifest['command']}`, seed {manifest['seed']}, code {manifest['code_version']}, "
        f"{manifest['created']}.",
        "",
        "## Scores",
        "",
        *_score_lines(manifest["scores"]),
        "",
        "## Limits",
        "",
        "Not a medical device. Not for diagnosis, treatment planning or any decision about a patient.",
    ]
    if phantom:
        lines += [
            "The networks have seen nothing but synthetic heads at a coarse working resolution. On images of people "
            "their masks mean nothing."
        ]
    return "\n".join(lines) + "\n"


def _rules_line(provenance: dict) -> str:
    if provenance["external_data"] or provenance.get("extra_annotation"):
        return f"Outside the challenge's rules: {'; '.join(provenance['remarks'])}."
    return "No external data, no pre-trained weights."


def _score_lines(scores: dict) -> list[str]:
    if not scores.get("arms"):
        return ["Not scored yet."]
    rows = [f"On {scores['cases']} unseen cases, mean ± sd (median).", ""]
    rows += ["| arm | structure | Dice | ASSD (mm) | Dice > 0.8 |", "|---|---|---|---|---|"]
    for arm, structures in scores["arms"].items():
        for structure, values in structures.items():
            dice, assd = values["dice"], values["assd_mm"]
            rows.append(
                f"| {arm} | {structure} | {dice['mean']:.3f} ± {dice['std']:.3f} ({dice['median']:.3f}) "
                f"| {assd['mean']:.2f} ± {assd['std']:.2f} ({assd['median']:.2f}) | {dice['over_0_8']} |"
            )
    return rows


def publish(run_dir: Path, scores_path: Path, cases: int, out_dir: Path) -> None:
    """Write the run's bundle to `out_dir` with its scores on `cases` unseen cases in manifest and model card.

    `scores_path` is what `vestibule table1 --json` wrote. Raises InputError where the bundle or the scores are missing.
    """
    bundle = open_bundle(EXPORT.folder(run_dir) / "bundle")
    scores = read_json(scores_path)
    if not scores or "arms" not in scores:
        raise InputError(f"{scores_path}: holds no scores; make it with vestibule table1 --json")
    manifest = {**bundle.manifest, "scores": {"cases": cases, **scores}}
    names = [Path(name) for name in bundle.manifest["files"]]
    tensors = {name.stem: bundle.tensors(name.stem) for name in names if name.suffix == ".safetensors"}
    documents = {name.stem: bundle.document(name.stem) for name in names if name.suffix == ".json"}
    write_bundle(out_dir, manifest, tensors, documents, {"MODEL_CARD.md": model_card(manifest)})
