"""A further arm: one row of the table of arms and one stage, and everything that lists arms has it."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.arms import ARMS, Arm, Translator, default_of
from training.config import read_config, stages_of
from training.stage_table import EXPORT, PREPARE, STAGES, Stage
from vestibule.editions import get_edition
from vestibule.files import write_json
from vestibule.networks import build_generator
from vestibule.pipeline import load_model
from vestibule.volume import read_scan
from vestibule.weights import open_bundle

ATLAS = Stage(
    name="atlas",
    title="Learn where tumours lie.",
    needs=(PREPARE,),
    sections=("pix2pix", "segmenter"),
    entry="atlas_stage:learn",
)
LAID = Arm("laid", "an atlas on T2", (ATLAS,), None, ATLAS, "an atlas, laid on T2 (Nobody et al., 2031).")
TURNED = Arm(
    name="turned",
    title="an atlas on translated T2",
    stages=(ATLAS,),
    translator=Translator(ATLAS, "turn", "pix2pix"),
    segmenter=ATLAS,
    card="T2 is turned to T1, and the atlas is laid on that (Nobody et al., 2032).",
)
CONFIG = """
name: tiny
intended_use: challenge
edition: 2021
arms: [laid, turned]
prepare: {spacing_yx_mm: [2.0, 2.0], size_yx: [32, 32]}
pix2pix: {generator: {architecture: resnet, width: 4, blocks: 1}}
segmenter: {folds: [], mirror_at_test: false}
"""


@pytest.fixture
def arms(monkeypatch, tiny_bundle):
    """The new arms in their table, with a stage that leaves random networks."""
    bundle = open_bundle(tiny_bundle)

    def learn(config, run_dir):
        folder = ATLAS.folder(run_dir)
        torch.manual_seed(config.seed)
        save_file(build_generator(config.pix2pix.generator).state_dict(), folder / "turn.safetensors")
        save_file(bundle.tensors("segmenter"), folder / "fold_all.safetensors")
        write_json(folder / "plans.json", bundle.document("plans"))
        write_json(folder / "dataset.json", bundle.document("dataset"))
        return sorted(folder.glob("*.safetensors"))

    module = ModuleType("atlas_stage")
    module.learn = learn
    monkeypatch.setitem(sys.modules, "atlas_stage", module)
    monkeypatch.setitem(STAGES, ATLAS.name, ATLAS)
    monkeypatch.setitem(ARMS, LAID.name, LAID)
    monkeypatch.setitem(ARMS, TURNED.name, TURNED)


@pytest.fixture
def run(arms, vestibule_train, download, tmp_path):
    """A run of the new arms by `vestibule train run`; its folder and what was said."""
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    code, said = vestibule_train(
        "run", "--config", tmp_path / "tiny.yaml", "--run", tmp_path / "run", "--data", download
    )
    assert code == 0, said
    return tmp_path / "run", said


def test_arm_has_its_stages_and_no_others(run, tmp_path):
    run_dir, said = run
    assert stages_of(read_config(tmp_path / "tiny.yaml")) == [PREPARE, ATLAS, EXPORT]
    assert "atlas: Learn where tumours lie." in said
    assert sorted(path.name for path in run_dir.iterdir() if path.is_dir()) == ["atlas", "export", "prepare"]


def test_arm_is_exported_and_segments_t2(run, download):
    run_dir, _ = run
    edition = get_edition(2021)
    volume = read_scan(next((download / edition.target_folder).iterdir()))
    for arm in (LAID, TURNED):
        model = load_model(EXPORT.folder(run_dir) / "bundle", arm.name, "cpu")
        assert (model.translator is None) == (arm.translator is None)
        mask = model.run(volume)
        assert mask.geometry == volume.geometry
        assert set(np.unique(mask.voxels).tolist()) <= set(edition.labels)


def test_arm_is_the_default_by_its_place_or_by_name(run, tmp_path):
    bundle = open_bundle(EXPORT.folder(run[0]) / "bundle")
    assert bundle.arm() == "turned"
    assert default_of(("laid", "turned", "supervised")) == "turned"
    config = read_config(tmp_path / "tiny.yaml")
    assert replace(config, default_arm="laid").default_arm == "laid"


def test_model_card_tells_of_the_arm_with_its_paper(run):
    card = (EXPORT.folder(run[0]) / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- Arm `laid`: an atlas, laid on T2 (Nobody et al., 2031)." in card
    assert "- Arm `turned`: T2 is turned to T1, and the atlas is laid on that (Nobody et al., 2032)." in card
    assert "default: turned" in card
    assert "Sallé" not in card


def test_arm_is_known_to_the_command_line(arms, vestibule_train):
    assert "atlas" in vestibule_train("--help")[1]
    assert vestibule_train("atlas", "--help")[0] == 0
