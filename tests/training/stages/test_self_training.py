"""Rounds of self-training, with stand-ins for nnU-Net."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from training.config import RunConfig, SelfTrainingConfig, build
from training.pseudo_labels import agreement, round
from training.pseudo_labels.masks import largest_tumour
from training.stage_table import DIRECT_SEGMENTER, SELF_TRAINING
from training.stages import direct_segmenter, self_training
from vestibule.editions import get_edition
from vestibule.errors import InputError


def test_of_several_tumours_the_largest_is_kept_and_other_structures_stay():
    labels = np.zeros((2, 10, 10), dtype=np.uint8)
    labels[0, 1:4, 1:4], labels[1, 7:9, 7:9], labels[0, 8, 1] = 1, 1, 2
    kept = largest_tumour(labels, get_edition(2021))
    assert (kept == 1).sum() == 9
    assert (kept == 2).sum() == 1
    np.testing.assert_array_equal(largest_tumour(kept, get_edition(2021)), kept)


@pytest.fixture
def rounds(config, run_dir, monkeypatch):
    """Self-training with a segmenter that predicts tumour everywhere: what each round saw, the outputs, the folder."""
    seen, lengths = [], []

    class Everywhere:
        def probabilities(self, image, spacing):
            return np.stack([np.zeros_like(image), np.ones_like(image), np.zeros_like(image)])

    def remember(cases, channel, config, folder, epochs=None, weights=None):
        lengths.append(epochs)
        seen.append([(case.domain, bool((np.asarray(case.labels) == 1).all())) for case in cases])
        (folder / "plans.json").write_text("{}")
        return [folder / "plans.json"]

    monkeypatch.setattr(self_training, "train_on", remember)
    monkeypatch.setattr(self_training, "load_segmenter", lambda config, folder: Everywhere())
    (run_dir / "augment").mkdir()
    (run_dir / "self_training").mkdir()
    index = run_dir / "prepare" / "index.json"
    text = index.read_text().replace('"source/', '"../prepare/source/').replace('"target/', '"../prepare/target/')
    (run_dir / "augment" / "index.json").write_text(text)
    augment = replace(config.augment, last_epochs=9)
    outputs = self_training.train(replace(config, augment=augment), run_dir)
    return seen, outputs, run_dir, lengths


def test_rounds_see_synthetic_t2_then_real_t2_with_own_masks_and_at_last_real_t2_alone(rounds):
    seen, outputs, run_dir, _ = rounds
    synthetic, real = [("source", False)] * 3, [("target", True)] * 3
    assert seen == [synthetic, synthetic + real, synthetic + real, real]
    assert outputs == [run_dir / "self_training" / "plans.json"]


def test_last_round_alone_has_a_length_of_its_own(rounds):
    *_, lengths = rounds
    assert lengths == [None, None, None, 9]


def test_held_back_case_is_in_no_round_and_real_t2_is_in_all(rounds, config):
    seen, _, run_dir, _ = rounds
    for number in range(4):
        (run_dir / "self_training" / f"round_{number}" / "done.json").unlink()
    seen.clear()
    self_training.train(replace(config, segmenter=replace(config.segmenter, held_back=1)), run_dir)
    synthetic, real = [("source", False)] * 2, [("target", True)] * 3
    assert seen == [synthetic, synthetic + real, synthetic + real, real]


def test_killed_self_training_does_not_repeat_finished_rounds(rounds, config):
    seen, _, run_dir, _ = rounds
    (run_dir / "self_training" / "round_3" / "done.json").unlink()
    self_training.train(config, run_dir)
    assert len(seen) == 5


ARMS = ("direct", "blending")


class FindsSome:
    """A segmenter that finds the tiny cases' dark tumours, but none in the first case."""

    def __init__(self):
        self.asked = 0

    def probabilities(self, image, spacing):
        tumour = ((image < 0.1) & (image > -0.6)).astype(np.float32)
        if self.asked % 3 == 0:
            tumour[:] = 0
        self.asked += 1
        return np.stack([1 - tumour, tumour, np.zeros_like(tumour)])


@pytest.fixture
def filtered(config, run_dir, monkeypatch):
    """Trains a stage in rounds with a filter: what each round saw, with what weights."""
    seen = []

    def remember(cases, channel, config, folder, epochs=None, weights=None):
        seen.append(([f"{case.domain} {case.name}" for case in cases], weights))
        (folder / "plans.json").write_text("{}")
        return [folder / "plans.json"]

    monkeypatch.setattr(self_training, "train_on", remember)
    for module in (self_training, round, agreement):
        monkeypatch.setattr(module, "load_segmenter", lambda *_, **__: FindsSome())
    text = (run_dir / "prepare" / "index.json").read_text()
    text = text.replace('"source/', '"../prepare/source/').replace('"target/', '"../prepare/target/')
    for name in ("augment", "synthesis", "self_training", "direct_segmenter"):
        (run_dir / name).mkdir()
        (run_dir / name / "index.json").write_text(text)

    def train(module, **settings):
        whole = replace(config, arms=ARMS, self_training=SelfTrainingConfig(**settings))
        seen.clear()
        outputs = module.train(whole, run_dir)
        return seen, outputs, whole

    return train


T1 = [f"source case_{number}" for number in range(3)]
T2 = ["target case_1", "target case_2"]


@pytest.mark.parametrize(("module", "stage"), [(self_training, SELF_TRAINING), (direct_segmenter, DIRECT_SEGMENTER)])
def test_mask_without_a_tumour_is_dropped_in_every_round_and_what_was_kept_is_written(filtered, run_dir, module, stage):
    seen, outputs, whole = filtered(module, rounds=1)
    folds = whole.segmenter.folds
    # Two masks are too few for five folds, so that the last round sees synthetic T2, too.
    assert folds
    assert [cases for cases, _ in seen] == [T1, T1 + T2, T1 + T2]
    assert all(weights == {} for _, weights in seen)
    folder = stage.folder(run_dir)
    names = [path.name for path in outputs]
    assert names == ["plans.json", "rounds.csv", "report.txt"]
    with (folder / "round_1" / "masks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["dropped", "kept", "kept"]
    assert rows[0]["reason"] == "no vs"
    assert (folder / "round_1" / "masks.png").is_file()
    report = (folder / "report.txt").read_text()
    assert report.startswith("round 0: 2 of 3 masks kept, vs Dice 0.6")
    assert "round 2: the last" in report
    warnings = module.inspect(whole, run_dir)
    assert len(warnings) == 2
    assert warnings[0].startswith("round_0 has kept 2 of 3 masks of T2, too few to train nnU-Net on alone")


def test_one_network_on_all_cases_is_trained_on_two_masks_alone_at_last(filtered, run_dir, config):
    one = replace(config.segmenter, folds=())
    whole = replace(config, arms=ARMS, segmenter=one, self_training=SelfTrainingConfig(rounds=0))
    seen, _, _ = filtered(self_training, rounds=0)
    for record in SELF_TRAINING.folder(run_dir).glob("round_*/done.json"):
        record.unlink()
    seen.clear()
    self_training.train(whole, run_dir)
    assert [cases for cases, _ in seen] == [T1, T2]
    assert self_training.inspect(whole, run_dir) == []


def test_filter_that_asks_for_nothing_keeps_every_mask(filtered):
    seen, _, _ = filtered(self_training, rounds=1, min_agreement=0.0, anatomy=False, last_on_target=False)
    assert [cases for cases, _ in seen] == [T1, [*T1, "target case_0", *T2]]


def test_kept_masks_are_weighted_by_their_agreement(filtered, monkeypatch):
    class Unsteady(FindsSome):
        def probabilities(self, image, spacing):
            found = super().probabilities(image, spacing)
            # A slice less: three of the four slices of each tumour.
            found[:, 4] = 0
            return found

    monkeypatch.setattr(agreement, "load_segmenter", lambda *_, **__: Unsteady())
    seen, _, _ = filtered(self_training, rounds=1, folds=False, weighted=True, last_on_target=False)
    _, weights = seen[1]
    # 2 * 3 / (3 + 4) of a tumour of four equal slices.
    assert weights == {"case_1": pytest.approx(6 / 7), "case_2": pytest.approx(6 / 7)}


def test_interrupted_round_does_not_judge_its_masks_again(filtered, run_dir, monkeypatch):
    filtered(self_training, rounds=1)
    monkeypatch.setattr(round, "find_masks", None)
    (SELF_TRAINING.folder(run_dir) / "round_2" / "done.json").unlink()
    seen, _, _ = filtered(self_training, rounds=1)
    assert [cases for cases, _ in seen] == [T1 + T2]


def test_next_round_learns_from_fitted_cochleae_which_an_interrupted_run_finds_again(filtered, run_dir, monkeypatch):
    asked = {"rounds": 1, "min_agreement": 0.0, "anatomy": False, "fit_cochleae": True}
    learnt = []
    fit = round.write_fitted

    def remember(cases, masks, folder):
        fitted = fit(cases, masks, folder)
        learnt.extend(case.label_path for case in fitted)
        return fitted

    monkeypatch.setattr(round, "write_fitted", remember)
    filtered(self_training, **asked)
    folder = SELF_TRAINING.folder(run_dir)
    assert learnt[:3] == [folder / "round_0" / "fitted" / f"case_{number}.npy" for number in range(3)]
    # Of the last round nothing is learnt.
    assert len(learnt) == 6
    monkeypatch.setattr(round, "find_masks", None)
    (folder / "round_2" / "done.json").unlink()
    filtered(self_training, **asked)
    assert len(learnt) == 6


FOLDS = (0, 2)


@pytest.fixture
def in_parts(filtered, config, run_dir, monkeypatch):
    """Makes the parts of a stage in rounds, one after the other: what each part saw, and the configuration."""
    seen = {}

    def remember(part, cases, channel, config, folder, epochs=None, weights=None):
        seen[f"{folder.name}_{part}"] = ([f"{case.domain} {case.name}" for case in cases], weights, epochs)

    monkeypatch.setattr(self_training, "make_part_on", remember)
    monkeypatch.setattr(self_training, "is_trained", lambda fold, folder: (folder / "plans.json").is_file())

    def make(module, stage, settings):
        whole = replace(config, arms=ARMS, self_training=settings, augment=replace(config.augment, last_epochs=9))
        whole = replace(whole, segmenter=replace(config.segmenter, folds=FOLDS))
        for layer in module.parts(whole):
            for part in layer:
                if part.name.endswith("masks"):
                    round_dir = stage.folder(run_dir) / part.name.removesuffix("_masks")
                    with pytest.raises(InputError, match=f"make the part '{round_dir.name}_fold_0' first"):
                        module.make_part(whole, run_dir, part.name)
                    (round_dir / "plans.json").write_text("{}")
                module.make_part(whole, run_dir, part.name)
        return seen, whole

    return make


JUDGED = SelfTrainingConfig(rounds=1, weighted=True, last_epochs=9)


@pytest.mark.parametrize(
    ("module", "stage", "settings"),
    [
        (self_training, SELF_TRAINING, None),
        (self_training, SELF_TRAINING, JUDGED),
        (self_training, SELF_TRAINING, replace(JUDGED, fit_cochleae=True)),
        (self_training, SELF_TRAINING, replace(JUDGED, fit_tumours=True)),
        (direct_segmenter, DIRECT_SEGMENTER, JUDGED),
    ],
)
def test_folds_of_each_round_that_are_made_apart_learn_what_they_learn_in_one_process(
    in_parts, run_dir, monkeypatch, module, stage, settings
):
    apart, whole = in_parts(module, stage, settings)
    together = []

    def remember(cases, channel, config, folder, epochs=None, weights=None):
        together.append(([f"{case.domain} {case.name}" for case in cases], weights, epochs))
        (folder / "plans.json").write_text("{}")
        return [folder / "plans.json"]

    monkeypatch.setattr(self_training, "train_on", remember)
    # The masks are those that the parts have found.
    for place in (self_training, round):
        monkeypatch.setattr(place, "find_masks", None)
    module.train(whole, run_dir)
    assert len(together) > 1
    assert [epochs for *_, epochs in together] == [*[None] * (len(together) - 1), 9]
    for number, lesson in enumerate(together):
        for part in ("plan", "fold_0", "fold_2"):
            assert apart[f"round_{number}_{part}"] == lesson


def test_round_whose_masks_are_not_found_yet_is_refused_as_is_one_whose_masks_are_damaged(in_parts, config, run_dir):
    whole = replace(config, arms=ARMS, segmenter=replace(config.segmenter, folds=FOLDS))
    with pytest.raises(
        InputError, match=r"round_0: its masks of T2 are not there.* make the part 'round_0_masks' first"
    ):
        self_training.make_part(whole, run_dir, "round_1_plan")
    _, whole = in_parts(self_training, SELF_TRAINING, None)
    mask = SELF_TRAINING.folder(run_dir) / "round_0" / "labels" / "case_1.npy"
    mask.write_bytes(mask.read_bytes()[:-1])
    with pytest.raises(InputError, match="or damaged"):
        self_training.make_part(whole, run_dir, "round_1_fold_0")


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (
            {"arms": ["baseline"], "self_training": {}},
            r"self_training.stages names .* train nnU-Net in \['segmenter'\]",
        ),
        ({"self_training": {"stages": ["segmenter"]}}, "self_training.stages must be among"),
        ({"self_training": {"min_agreement": 2}}, "min_agreement must be from 0 to 1"),
        ({"self_training": {"volume_margin": 0.5}}, "volume_margin must be at least 1"),
        ({"self_training": {"rounds": 0, "last_on_target": False}}, "no round would see real T2"),
        ({"self_training": {"mirrored": False, "folds": False}}, "min_agreement needs masks to compare with"),
        (
            {"self_training": {"rounds": 1}, "augment": {"rounds": 3}},
            r"augment\.rounds is 3 and self_training\.rounds is 1; write it in the latter alone",
        ),
    ],
)
def test_section_that_cannot_hold_is_refused_by_the_configuration(values, cause):
    whole = {"name": "x", "intended_use": "phantom", "edition": 2022, "arms": ["blending"], **values}
    with pytest.raises(ValueError, match=cause):
        build(RunConfig, whole, "")


def test_rounds_that_are_told_twice_and_agree_are_read():
    whole = {"name": "x", "intended_use": "phantom", "edition": 2022, "arms": ["blending"]}
    whole |= {"self_training": {"rounds": 3}, "augment": {"rounds": 3}, "pix2pix": {"generator": {}}}
    assert build(RunConfig, whole, "").self_training.rounds == 3
