"""Parts of a stage that several processes make."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from training import stage_module
from training.config import ReferenceConfig, SegmenterConfig, SelfTrainingConfig
from training.parts import Part
from training.run_status import read_run
from training.runner import run_part, run_stage
from training.stage_module import parts_of
from training.stage_table import DIRECT_SEGMENTER, HARMONISER, SEGMENTER, SELF_TRAINING, SUPERVISED, Stage
from vestibule.errors import InputError
from vestibule.files import read_json

PARTED = Stage("parted", "of three parts", needs=(), sections=("cyclegan",), entry="somewhere:make")
NAMES = ("first", "left", "right")


def path_of(run_dir, name):
    return PARTED.folder(run_dir) / f"{name}.txt"


def make_part(config, run_dir, name):
    path_of(run_dir, name).write_text(name)


def make(config, run_dir):
    for name in NAMES:
        if not path_of(run_dir, name).is_file():
            make_part(config, run_dir, name)
    return [path_of(run_dir, name) for name in NAMES]


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """The module of the stage PARTED."""
    layers = ((Part("first", trains=False, uses_gpus=False),), (Part("left"), Part("right")))
    module = SimpleNamespace(make=make, parts=lambda config: layers, make_part=make_part)
    monkeypatch.setattr(stage_module.importlib, "import_module", lambda name: module)
    return module


def test_stage_finds_the_parts_that_were_made_apart(config, tmp_path):
    for name in NAMES:
        assert run_part(PARTED, name, config, tmp_path)
    written = path_of(tmp_path, "left").stat().st_mtime_ns
    assert run_stage(PARTED, config, tmp_path)
    assert path_of(tmp_path, "left").stat().st_mtime_ns == written
    assert not run_part(PARTED, "left", config, tmp_path)
    parts = read_json(tmp_path / "status.json")["parted"]["parts"]
    assert [parts[name]["state"] for name in NAMES] == ["done"] * 3


def test_other_parts_go_on_while_one_is_made_and_the_whole_stage_is_refused(config, tmp_path, module):
    def make_while_others_try(config_of_stage, run_dir, name):
        if name == "left":
            run_part(PARTED, "right", config, run_dir)
            with pytest.raises(InputError, match=r"parted\.part-left: is being written by process"):
                run_part(PARTED, "left", config, run_dir)
            with pytest.raises(InputError, match="parted: is being written by process"):
                run_stage(PARTED, config, run_dir)
            # What another configuration asks for must not take the folder away.
            other = replace(config, seed=7)
            with pytest.raises(InputError, match="parted: is being written by process"):
                run_part(PARTED, "right", other, run_dir)
        make_part(config_of_stage, run_dir, name)

    module.make_part = make_while_others_try
    run_part(PARTED, "left", config, tmp_path)
    assert sorted(path.name for path in PARTED.folder(tmp_path).glob("*.txt")) == ["left.txt", "right.txt"]


def test_part_of_another_configuration_begins_anew_and_what_was_there_is_kept(config, tmp_path):
    run_part(PARTED, "left", config, tmp_path)
    run_part(PARTED, "right", replace(config, seed=7), tmp_path)
    assert [path.name for path in PARTED.folder(tmp_path).glob("*.txt")] == ["right.txt"]
    assert len(list((tmp_path / "old").glob("parted-*/left.txt"))) == 1
    assert list(read_json(tmp_path / "status.json")["parted"]["parts"]) == ["right"]


def test_unknown_part_is_refused_with_those_that_there_are(config, tmp_path, module):
    with pytest.raises(InputError, match=r"--part fold_9: no such part; .* here: first, left, right"):
        run_part(PARTED, "fold_9", config, tmp_path)
    del module.parts
    with pytest.raises(InputError, match="'parted' has no parts"):
        run_part(PARTED, "first", config, tmp_path)


def test_part_that_fails_leaves_its_last_line_in_the_status(config, tmp_path, module):
    def fail(config, run_dir, name):
        raise InputError("the loss is not finite")

    module.make_part = fail
    with pytest.raises(InputError):
        run_part(PARTED, "left", config, tmp_path)
    entry = read_json(tmp_path / "status.json")["parted"]["parts"]["left"]
    assert (entry["state"], entry["error"]) == ("failed", "the loss is not finite")
    with pytest.raises(InputError, match="holds no run"):
        # Of stages that are in the table alone.
        read_run(tmp_path)


def test_folds_and_reference_slices_are_parts_where_there_are_several(config, monkeypatch):
    monkeypatch.undo()
    folds = replace(config, segmenter=SegmenterConfig(folds=(0, 3)))
    plan = Part("plan", trains=False, uses_gpus=False)
    assert parts_of(SEGMENTER, folds) == ((plan,), (Part("fold_0"), Part("fold_3")))
    assert parts_of(SUPERVISED, replace(config, segmenter=SegmenterConfig(folds=()))) == ()
    two = replace(config, reference=ReferenceConfig(count=2))
    assert parts_of(HARMONISER, two) == ((Part("reference_0"), Part("reference_1")),)
    assert parts_of(HARMONISER, config) == ()


def test_folds_and_masks_of_each_round_are_parts(config, monkeypatch):
    monkeypatch.undo()
    two = replace(config, segmenter=SegmenterConfig(folds=(0, 3)), augment=replace(config.augment, rounds=1))
    names = [[part.name for part in layer] for layer in parts_of(SELF_TRAINING, two)]
    assert names == [
        ["round_0_plan"],
        ["round_0_fold_0", "round_0_fold_3"],
        ["round_0_masks"],
        ["round_1_plan"],
        ["round_1_fold_0", "round_1_fold_3"],
        ["round_1_masks"],
        ["round_2_plan"],
        ["round_2_fold_0", "round_2_fold_3"],
    ]
    # Where masks are judged, those of the last round are looked at, by GPU.
    judged = replace(config, arms=("direct", "blending"), segmenter=two.segmenter)
    judged = replace(judged, self_training=SelfTrainingConfig(rounds=0))
    for stage in (SELF_TRAINING, DIRECT_SEGMENTER):
        assert len(parts_of(stage, judged)) == 6
        assert parts_of(stage, judged)[-1] == (Part("round_1_masks", trains=False),)
    assert parts_of(SELF_TRAINING, replace(two, segmenter=SegmenterConfig(folds=(0,)))) == ()
