"""The bundle: what inference needs of a finished run, with its provenance and a model card."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import load_file

from training.config import RunConfig
from training.data.challenge_rules import read_audit
from training.runner import code_version, read_json, stage_dir, stages_of
from vestibule.errors import InputError
from vestibule.networks import GeneratorConfig, generator_to_dict
from vestibule.weights import open_bundle, write_bundle

NOTICES = {
    "phantom": "phantom weights: trained on synthetic images, for phantoms only, not for patients",
    "challenge": "research weights: not a medical device, not for diagnosis or treatment",
}
T2_SEGMENTERS = {"blending": "self_training", "supervised": "supervised"}
"""Arms whose segmenter works on T2 itself, and the stage that trains it."""


def export(config: RunConfig, run_dir: Path) -> list[Path]:
    """Pack the arms into `export/bundle`: safetensors, plans, manifest and model card."""
    folder = stage_dir(run_dir, "export") / "bundle"
    tensors, documents, networks = {}, {}, {}
    for arm in config.arms:
        # Some arms segment T2 itself: their segmenter is another one, and nothing translates for it.
        stage = T2_SEGMENTERS.get(arm, "segmenter")
        segmenter = _pack_segmenter(stage, config, stage_dir(run_dir, stage), tensors, documents)
        networks[arm] = {"translator": None, "segmenter": segmenter}
        if arm not in T2_SEGMENTERS:
            path, generator = _translator_of(arm, config, run_dir)
            tensors[f"translator_{arm}"] = load_file(path)
            networks[arm]["translator"] = {
                "generator": generator_to_dict(generator),
                "tensors": f"translator_{arm}",
            }
    manifest = _manifest(config, run_dir, networks)
    write_bundle(folder, manifest, tensors, documents, {"MODEL_CARD.md": model_card(manifest)})
    return [path for path in folder.rglob("*") if path.is_file()]


def _pack_segmenter(name: str, config: RunConfig, folder: Path, tensors: dict, documents: dict) -> dict:
    folds = [f"fold_{fold}" for fold in (config.segmenter.folds or ("all",))]
    own = {f"{name}_{fold}": load_file(folder / f"{fold}.safetensors") for fold in folds}
    tensors.update(own)
    for document in ("plans", "dataset"):
        documents[f"{name}_{document}"] = read_json(folder / f"{document}.json")
    return {
        "plans": f"{name}_plans",
        "dataset": f"{name}_dataset",
        "configuration": config.segmenter.configuration,
        "tensors": list(own),
        "mirror_axes": [0, 1, 2] if config.segmenter.mirror_at_test else [],
        "tile_step": config.segmenter.tile_step,
    }


def _translator_of(arm: str, config: RunConfig, run_dir: Path) -> tuple[Path, GeneratorConfig]:
    if arm == "baseline":
        return stage_dir(run_dir, "cyclegan") / "target_to_source.safetensors", config.cyclegan.generator
    return stage_dir(run_dir, "pix2pix") / "generator.safetensors", config.pix2pix.generator


def _manifest(config: RunConfig, run_dir: Path, networks: dict) -> dict:
    stages = {}
    for name in stages_of(config):
        done = read_json(stage_dir(run_dir, name) / "stage.json")
        if done:
            stages[name] = {key: done[key] for key in ("fingerprint", "seconds", "code_version")}
    cascade = (read_json(stage_dir(run_dir, "singan") / "cascade.json") or {}) if "singan" in stages else {}
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
        "default_arm": "oneshot" if "oneshot" in config.arms else config.arms[0],
        "preprocessing": asdict(config.prepare),
        "networks": networks,
        "scores": {},
        "provenance": {
            **read_audit(run_dir),
            "training_data": "phantoms made by this toolkit" if config.phantom else f"crossMoDA {config.edition}",
            "reference_slice": {key: cascade[key] for key in ("case", "slice", "chosen") if key in cascade},
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
        "- Method: one-shot tumour synthesis for cross-modal segmentation (Sallé et al., ORASIS 2021): T2 is "
        "translated to T1, and nnU-Net segments the T1. The arm `baseline` translates by the CycleGAN alone.",
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
    bundle = open_bundle(stage_dir(run_dir, "export") / "bundle")
    scores = read_json(scores_path)
    if not scores or "arms" not in scores:
        raise InputError(f"{scores_path}: holds no scores; make it with vestibule table1 --json")
    manifest = {**bundle.manifest, "scores": {"cases": cases, **scores}}
    names = [Path(name) for name in bundle.manifest["files"]]
    tensors = {name.stem: bundle.tensors(name.stem) for name in names if name.suffix == ".safetensors"}
    documents = {name.stem: bundle.document(name.stem) for name in names if name.suffix == ".json"}
    write_bundle(out_dir, manifest, tensors, documents, {"MODEL_CARD.md": model_card(manifest)})
