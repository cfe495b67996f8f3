"""The study of the arms: what it trains, what lines share, what it does not train twice, and its section."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from training.config import read_config
from training.run_folder import FINISHED
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json


@pytest.fixture
def tiny(study, repository):
    config = study("experiment").sized(read_config(repository / "configs" / "phantom.yaml"), "tiny")
    return study("arms").with_last_round(config, "tiny")


def rows(*dice, cochlea=0.6, assd_mm=1.0):
    """Rows of scores of as many cases."""
    found = []
    for number, value in enumerate(dice):
        for structure, own in (("vs", value), ("cochlea", cochlea)):
            scores = {"dice": own, "assd_mm": assd_mm, "reference_volume_mm3": 1000.0}
            found.append({"case": f"case_{number}", "structure": structure, **scores})
    return found


def line_called(study, name):
    return next(line for line in study("arms").LINES if line.name == name)


def test_every_line_is_a_configuration_that_a_run_takes(study, tiny):
    arms = study("arms")
    for line in arms.LINES:
        own = arms.configured(tiny, line)
        assert own.arms == (line.arm,)
        assert (own.cyclegan.segmentation_weight > 0) == line.head
        assert (own.local_contrast is not None) == line.local_contrast
        assert (own.self_training is not None) == (line.filtered or line.fitted)
        assert (own.second_cyclegan is not None) == line.mixed


def test_line_with_fitted_cochleae_keeps_every_mask_and_differs_in_nothing_else(study, tiny):
    arms = study("arms")
    plain = arms.configured(tiny, line_called(study, "blending"))
    fitted = arms.configured(tiny, line_called(study, "blending_fitted"))
    assert fitted.self_training.fit_cochleae
    assert not fitted.self_training.anatomy
    assert fitted.self_training.min_agreement == 0
    assert fitted.self_training.rounds == plain.augment.rounds
    assert replace(fitted, self_training=None) == plain


def test_best_line_trains_itself_as_the_demo_does(study, repository):
    arms = study("arms")
    demo = read_config(repository / "configs" / "phantom.yaml")
    line = line_called(study, "direct_trusted")
    own = arms.configured(arms.with_last_round(demo, "small"), line)
    assert own.self_training == demo.self_training
    assert own.augment.rounds == 0
    assert line.titles == ("", ", self-training")
    assert line_called(study, "direct_grown").titles == ("", ", a round more", ", self-training")


def test_direct_alters_no_tumour_and_needs_no_level(study, tiny):
    arms = study("arms")
    direct = arms.configured(tiny, line_called(study, "direct"))
    assert direct.augment.levels() == {}
    altered = arms.configured(tiny, line_called(study, "blending"))
    assert altered.augment.levels() == {"level": 1}


def test_section_has_failures_shares_and_differences(study):
    found = {
        "baseline": {("", 0): {"rows": rows(0.2, 0.4, assd_mm=5.1), "minutes": 10.0}},
        "blending, self-training": {("", 0): {"rows": rows(0.7, 0.9), "minutes": 30.0}},
        "supervised": {("", 0): {"rows": rows(0.8, 1.0, cochlea=0.8), "minutes": 5.0}},
    }
    text = "\n".join(study("arms_report").report(found))
    assert "| baseline | 1 | 2 | 0.30 ± 0.14 (0.30) | 0 |" in text
    line = "| blending, self-training | 1 | 0 | 0.80 ± 0.14 (0.80) | 1 | 1.00 ± 0.00 (1.00) | 0.60 ± 0.00 (0.60) |"
    assert f"{line} +0.500 (+0.500 to +0.500) | -0.100 (-0.100 to -0.100) | 30 |" in text
    assert "- vs, mean Dice as a share of supervised: baseline 33 %, blending, self-training 89 %." in text
    assert "- cochlea, mean Dice as a share of supervised: baseline 75 %, blending, self-training 75 %." in text


def test_runs_of_another_machine_are_read_from_its_table_and_own_ones_stay(study, tmp_path):
    first = {"baseline": {("", 0): {"rows": rows(0.2, 0.4, assd_mm=float("inf")), "minutes": 10.0}}}
    second = {
        "baseline": {("", 1): {"rows": rows(0.3, 0.5), "minutes": 20.0}},
        "direct": {("", 1): first["baseline"][("", 0)]},
    }
    table = study("arms_rows")
    table.write_rows(first | second, tmp_path / "second.csv")
    found = {"baseline": dict(first["baseline"])}
    table.add_rows(tmp_path / "second.csv", found)
    assert found == {"baseline": first["baseline"] | second["baseline"], "direct": second["direct"]}
    (tmp_path / "other.csv").write_text("case,dice\na,0.5\n")
    with pytest.raises(InputError, match=r"other\.csv: is not a table of rows"):
        table.add_rows(tmp_path / "other.csv", found)


def test_lines_without_a_common_seed_are_not_compared(study):
    first = {("", 0): {"rows": rows(0.1)}}
    second = {("", 1): {"rows": rows(0.2)}}
    assert study("arms_report").difference(first, second) == ""


def test_cases_of_several_people_stand_beside_each_other(study):
    first = {("turn_0", 0): {"rows": rows(0.1)}, ("turn_1", 0): {"rows": rows(0.3, 0.3)}}
    second = {("turn_0", 0): {"rows": rows(0.2)}, ("turn_1", 0): {"rows": rows(0.4, 0.4)}}
    assert study("arms_report").difference(first, second) == "+0.100 (+0.100 to +0.100)"


def test_every_person_is_the_unseen_one_in_turn(study, tmp_path):
    for person in ("p01", "p02", "p03"):
        for contrast in ("T1W", "T2W"):
            (tmp_path / f"{person}s1_{contrast}.nii.gz").touch()
    (tmp_path / "p04s1_T1W.nii.gz").touch()  # no T2
    heads = study("real_heads")
    assert list(heads.people_of(tmp_path)) == ["p01", "p02", "p03"]
    unseen = [heads.split(tmp_path, turn)["validation"][0].name[:3] for turn in range(3)]
    assert unseen == ["p03", "p01", "p02"]


def test_nothing_finished_is_said(study, repository, monkeypatch, tmp_path):
    config = str(repository / "configs" / "phantom.yaml")
    monkeypatch.setattr(sys, "argv", ["arms.py", "--config", config, "--out", str(tmp_path), "--finished"])
    with pytest.raises(SystemExit, match="no run is finished; leave out --finished"):
        study("arms").main()


def test_lines_share_what_they_can_and_a_head_has_a_cyclegan_of_its_own(study, tiny, monkeypatch, tmp_path):
    arms = study("arms")
    trained = []

    def train(config, run_dir, population, report, only=()):
        for stage in only or [stage for stage in arms.stages_of(config) if not stage.folder(run_dir).exists()]:
            trained.append((str(run_dir.relative_to(tmp_path / "seed_0")), stage.name))
            stage.folder(run_dir).mkdir(parents=True, exist_ok=True)
            write_json(stage.folder(run_dir) / FINISHED, {"seconds": 60.0, "config": {}, "outputs": {}})

    monkeypatch.setattr(arms, "train", train)
    monkeypatch.setattr(arms, "score_arm", lambda run_dir, arm, edition: rows(0.5))
    monkeypatch.setattr(arms, "score_model", lambda model, run_dir, name, edition: rows(0.6))
    monkeypatch.setattr(arms, "model_of_round", lambda config, run_dir, number: None)
    names = ("baseline", "blending", "blending_head", "blending_mixed")
    lines = [line for line in arms.LINES if line.name in names]
    arms.run_all([tiny], tmp_path, lines, 1)

    assert trained.count(("shared", "cyclegan")) == trained.count(("shared_head", "cyclegan")) == 1
    assert ("shared", "harmoniser") in trained
    assert ("shared_head", "harmoniser") not in trained
    assert trained.count(("shared", "second_cyclegan")) == 1
    assert not [run for run, name in trained if name == "second_cyclegan" and run != "shared"]
    assert ("blending_head", "self_training") in trained
    assert not [name for run, name in trained if run in names and name in ("prepare", "cyclegan", "segmenter")]

    found = {}
    for line in lines:
        assert arms.collect(arms.Job(tiny, tmp_path, line), found)
    assert list(found) == [
        "baseline",
        "blending",
        "blending, a round more",
        "blending, self-training",
        "blending_mixed",
        "blending_mixed, a round more",
        "blending_mixed, self-training",
        "blending_head",
        "blending_head, a round more",
        "blending_head, self-training",
    ]
    # CycleGAN, segmenter and export; the phantoms and their preparation are everyone's.
    assert found["baseline"]["", 0]["minutes"] == 3.0


def test_judge_of_synthetic_t2_tells_overlap_and_size_of_what_the_labels_have(study):
    fidelity = study("fidelity")
    labels = np.zeros((2, 4, 4), dtype=np.uint8)
    labels[0, :2] = 1
    mask = labels.copy()
    mask[0, 1] = 2
    scores = fidelity.compared(mask, labels, get_edition(2021))
    # Half of the tumour, and a cochlea that the labels do not have.
    assert scores == {"vs": (pytest.approx(2 / 3), 0.5)}
    assert fidelity.row("T2", {"vs": [(0.5, 0.4), (0.7, 1.0), (0.9, 0.9)]}) == ("T2", "3", "0.700", "0.90", "", "")
