"""A further stage: one row of the table and one file, and the method has it."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from training.arms import ARMS, BASELINE
from training.config import read_config, stages_of
from training.run_folder import recorded_config
from training.stage_table import EXPORT, PREPARE, STAGES, Stage
from vestibule.errors import InputError
from vestibule.files import read_json

DENOISE = Stage(
    name="denoise",
    title="Smooth the prepared images.",
    needs=(PREPARE,),
    sections=("prepare", "edition"),
    entry="denoise_stage:denoise",
)
CONFIG = """
name: tiny
intended_use: challenge
edition: 2021
arms: [baseline]
prepare: {spacing_yx_mm: [2.0, 2.0], size_yx: [32, 32], centre: bright}
pix2pix: {generator: {architecture: resnet}}
segmenter: {folds: []}
"""


class DenoiseStage(ModuleType):
    """What `denoise_stage.py` would hold; counts its calls, and dies in the first where it is told to."""

    def __init__(self):
        super().__init__("denoise_stage")
        self.calls, self.dies, self.refuses = 0, False, False

    def check(self, config, known):
        if self.refuses:
            raise InputError(f"denoise: nothing to smooth in {len(known.cases)} cases of {config.name}")

    def denoise(self, config, run_dir):
        self.calls += 1
        half = DENOISE.folder(run_dir) / "half.txt"
        if self.dies:
            half.write_text("half way")
            raise KeyboardInterrupt
        out = DENOISE.folder(run_dir) / "out.txt"
        out.write_text(f"{half.read_text() if half.is_file() else 'anew'}, edition {config.edition}")
        return [out]


@pytest.fixture
def stage(monkeypatch):
    """The new stage in its tables."""
    module = DenoiseStage()
    monkeypatch.setitem(sys.modules, "denoise_stage", module)
    monkeypatch.setitem(STAGES, DENOISE.name, DENOISE)
    monkeypatch.setitem(ARMS, BASELINE.name, replace(BASELINE, stages=(*BASELINE.stages, DENOISE)))
    return module


@pytest.fixture
def options(tmp_path, download):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return ["--config", tmp_path / "tiny.yaml", "--run", tmp_path / "run", "--data", download]


def test_stage_has_a_command_and_its_place_before_the_export(stage, vestibule_train, options):
    code, said = vestibule_train("--help")
    assert code == 0
    assert re.search(r"^  denoise +Smooth the prepared images\.$", said, re.MULTILINE)
    assert stages_of(read_config(options[1]))[-2:] == [DENOISE, EXPORT]


def test_stage_is_not_run_before_what_it_needs(stage, vestibule_train, options):
    _, said = vestibule_train("denoise", *options)
    assert "stage 'prepare' is not done; run it first" in said
    assert stage.calls == 0


def test_stage_runs_is_skipped_when_done_and_runs_again_when_its_section_changes(
    stage, vestibule_train, options, tmp_path
):
    vestibule_train("prepare", *options)
    assert "denoise: Smooth the prepared images." in vestibule_train("denoise", *options)[1]
    assert (tmp_path / "run" / "denoise" / "out.txt").read_text() == "anew, edition 2021"
    assert set(recorded_config(tmp_path / "run", DENOISE)) == {"prepare", "edition"}
    assert "denoise: done and unchanged, skipped" in vestibule_train("denoise", *options)[1]
    assert stage.calls == 1
    (tmp_path / "tiny.yaml").write_text(CONFIG + "cyclegan: {iterations: 7}\n")
    assert "skipped" in vestibule_train("denoise", *options)[1]
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("centre: bright", "centre: head"))
    vestibule_train("prepare", *options)
    vestibule_train("denoise", *options)
    assert stage.calls == 2


def test_killed_stage_is_resumed(stage, vestibule_train, options, tmp_path):
    vestibule_train("prepare", *options)
    stage.dies = True
    vestibule_train("denoise", *options)
    assert read_json(tmp_path / "run" / "denoise" / "stage.json") is None
    stage.dies = False
    assert vestibule_train("denoise", *options)[0] == 0
    assert (tmp_path / "run" / "denoise" / "out.txt").read_text() == "half way, edition 2021"


def test_what_the_stage_refuses_is_refused_before_the_first_stage(stage, vestibule_train, options, tmp_path):
    stage.refuses = True
    code, said = vestibule_train("run", *options)
    assert code != 0
    assert "denoise: nothing to smooth in 4 cases of tiny" in said
    assert not (tmp_path / "run" / "prepare").exists()


def test_section_that_the_row_does_not_name_is_refused(stage, vestibule_train, options, monkeypatch):
    vestibule_train("prepare", *options)
    monkeypatch.setattr(stage, "denoise", lambda config, run_dir: config.cyclegan)
    _, said = vestibule_train("denoise", *options)
    assert "stage 'denoise' reads the configuration's 'cyclegan', but its row" in said
