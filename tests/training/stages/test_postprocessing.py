"""The choice of post-processing, with stand-ins for nnU-Net that find the tumour and, some of them, more."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from training.arms import ARMS
from training.config import PostprocessingConfig, stages_of
from training.stage_table import EXPORT, POSTPROCESSING, SEGMENTER
from training.stages import postprocessing
from training.stages.postprocessing import choose, read_choice
from vestibule.files import read_json

DISTANT = (0, 0, slice(0, 3))
"""Voxels far from every tumour of the tiny cases."""


class FindsBright:
    """A segmenter of the tiny T1 cases, whose tumour is their brightest tissue; 3 voxels far away are wrong."""

    def __init__(self, adds=True, misses=False):
        self.adds = adds
        self.misses = misses

    def probabilities(self, image, spacing):
        tumour = (image > 0.5).astype(np.float32)
        if self.misses:
            tumour[:] = 0
        if self.adds:
            tumour[DISTANT] = 1
        return np.stack([1 - tumour, tumour, np.zeros_like(tumour)])


@pytest.fixture
def config(config):
    segmenter = replace(config.segmenter, held_back=2, mirror_at_test=False)
    return replace(config, segmenter=segmenter, postprocessing=PostprocessingConfig(min_cases=2))


@pytest.fixture
def asked(monkeypatch):
    """Which ways of inference were asked for; networks add false voxels unless they are mirrored."""
    ways = []

    def load(config, folder, folds, mirrored):
        ways.append((folder.name, folds, mirrored))
        return FindsBright(misses=len(folds) == 1)

    monkeypatch.setattr(postprocessing, "load_segmenter", load)
    return ways


def rows(run_dir):
    with (POSTPROCESSING.folder(run_dir) / "scores.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_rule_that_removes_false_parts_is_chosen_and_all_candidates_are_told(config, run_dir, asked):
    choose(config, run_dir)
    choice = read_choice(run_dir, SEGMENTER.name)
    assert choice["components"] == {"vs": {"most": 1, "min_mm3": 0.0}}
    assert choice["folds"] == ["0", "1", "2", "3", "4"]
    assert choice["mirrored"] is False
    assert len(choice["held_back"]) == 2
    # The mean of five folds and each of them, both ways.
    assert len(asked) == 12
    told = rows(run_dir)
    # Five rules of the tumour each; the tiny cases have no cochlea.
    assert len(told) == 12 * 5
    (chosen,) = [row for row in told if row["chosen"]]
    assert (chosen["parts"], chosen["cases"], chosen["failures"], chosen["dice"]) == ("largest 1", "2", "0", "1.0000")
    every = told[0]
    assert every["parts"] == "all parts"
    assert float(every["dice"]) < 1
    report = (POSTPROCESSING.folder(run_dir) / "report.txt").read_text()
    assert "segmenter, vs: largest 1 (2 held-back cases)" in report
    assert "segmenter, cochlea: 0 held-back cases are fewer than postprocessing.min_cases, 2; all parts stay" in report


def test_fold_that_misses_tumours_is_not_chosen_and_the_mean_is_not_left_for_one_that_is_as_good(
    config, run_dir, asked
):
    choose(config, run_dir)
    failed = {row["inference"] for row in rows(run_dir) if row["failures"] != "0"}
    assert "fold 3, not mirrored" in failed
    assert "mean of folds 0, 1, 2, 3, 4, not mirrored" not in failed


def test_too_few_held_back_cases_leave_the_defaults_and_it_is_told(config, run_dir, asked):
    few = replace(config, postprocessing=PostprocessingConfig(min_cases=3))
    choose(few, run_dir)
    choice = read_choice(run_dir, SEGMENTER.name)
    assert choice["components"] == {}
    assert choice["mirrored"] is False
    report = (POSTPROCESSING.folder(run_dir) / "report.txt").read_text()
    assert report.startswith("segmenter: 2 held-back cases are fewer than postprocessing.min_cases, 3; mean of folds")


def test_interrupted_choice_does_not_measure_again(config, run_dir, asked):
    choose(config, run_dir)
    before = read_json(POSTPROCESSING.folder(run_dir) / "choice.json")
    choose(config, run_dir)
    assert len(asked) == 12
    assert read_json(POSTPROCESSING.folder(run_dir) / "choice.json") == before


def test_stage_runs_before_the_export_where_it_is_asked_for(config):
    assert stages_of(config)[-2:] == [POSTPROCESSING, EXPORT]
    assert POSTPROCESSING not in stages_of(replace(config, postprocessing=None))


def test_stage_depends_on_all_that_it_reads():
    for arm in ARMS.values():
        images, _ = arm.learns_from
        assert {arm.segmenter, images} <= set(POSTPROCESSING.needs), arm.name


def test_section_without_held_back_cases_is_refused(config):
    with pytest.raises(ValueError, match=r"segmenter\.held_back is 0"):
        replace(config, segmenter=replace(config.segmenter, held_back=0))


def test_arm_that_names_no_images_keeps_the_defaults(config, run_dir, asked, monkeypatch):
    bare = replace(ARMS["baseline"], learns_from=None)
    monkeypatch.setattr(postprocessing, "arms_of", lambda names: [bare])
    choose(SimpleNamespace(**vars(config)), run_dir)
    assert read_choice(run_dir, SEGMENTER.name) is None
    assert asked == []
