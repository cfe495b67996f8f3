from dataclasses import replace

import numpy as np
import pytest

from training.config import SelfTrainingConfig
from training.data.slices import PreparedCase
from training.pseudo_labels.anatomy import faults_of, volume_limits
from training.pseudo_labels.gain import gain_of, in_words, write_rounds
from training.pseudo_labels.masks import Found
from training.pseudo_labels.record import count_kept, read_judged, write_judged
from training.pseudo_labels.verdicts import judge, weighted_by_agreement, with_every_site
from vestibule.editions import get_edition

EDITION = get_edition(2021)
LIMITS = {"vs": (10.0, 100.0), "cochlea": (4.0, 40.0)}
ASKED = SelfTrainingConfig(min_agreement=0.5)


@pytest.fixture
def make(tmp_path):
    """A case of 4 x 6 x 10 voxels of 2 mm³ with so many voxels of tumour and of cochlea on either side."""

    def of(name, tumour=10, left=2, right=2, site="ldn"):
        labels = np.zeros((4, 6, 10), np.uint8)
        labels.reshape(-1)[:tumour] = 1
        labels[3, :left, 1] = 2
        labels[3, :right, 8] = 2
        path = tmp_path / f"{name}.npy"
        np.save(path, labels)
        return PreparedCase(name, "target", site, path, path, (2.0, 1.0, 1.0), (), ())

    return of


def found(case, largest_share=1.0):
    return Found(case, largest_share)


def verdict(case, dice=1.0):
    overlaps = {"mirrored": {"vs": dice, "cochlea": 1.0}}
    return judge(found(case), overlaps, ASKED, LIMITS, EDITION)


def test_limits_are_the_extremes_of_the_labelled_volumes_with_a_margin(make):
    # 10 and 20 voxels of 2 mm³; the cochleae have 4 of them.
    cases = [make("a", tumour=10), make("b", tumour=20), make("none", tumour=0)]
    limits = volume_limits(cases, EDITION, margin=1.25)
    assert limits == {"vs": (16.0, 50.0), "cochlea": (6.4, 10.0)}


@pytest.mark.parametrize(
    ("values", "share", "faults"),
    [
        ({}, 1.0, []),
        ({"tumour": 0}, 1.0, ["no vs"]),
        ({"tumour": 4}, 1.0, ["vs of 8 mm³ is below 10"]),
        ({"tumour": 60}, 1.0, ["vs of 120 mm³ is above 100"]),
        ({"left": 0, "right": 0}, 1.0, ["no cochlea"]),
        ({"left": 4, "right": 0}, 1.0, ["cochlea on one side alone"]),
        ({}, 0.79, ["vs in pieces, the largest 79% of it"]),
    ],
)
def test_mask_that_no_patient_has_is_named_as_such(make, values, share, faults):
    assert faults_of(found(make("x", **values), share), EDITION, LIMITS) == faults


def test_structure_that_no_labelled_case_has_is_not_asked_for(make):
    case = make("x", left=0, right=0)
    assert faults_of(found(case), EDITION, {"vs": LIMITS["vs"]}) == []


def test_mask_is_dropped_for_disagreement_or_anatomy_and_the_reasons_are_told(make):
    assert verdict(make("good")).kept
    unsure = verdict(make("unsure"), dice=0.4)
    assert (unsure.kept, unsure.reason) == (False, "agreement 0.40 is below 0.5")
    both = verdict(make("both", tumour=4), dice=0.4)
    assert both.reason == "agreement 0.40 is below 0.5; vs of 8 mm³ is below 10"
    lenient = replace(ASKED, min_agreement=0.0, anatomy=False)
    assert judge(found(make("both", tumour=4)), both.overlaps, lenient, LIMITS, EDITION).kept


def test_each_site_keeps_its_share_the_best_first_and_no_mask_that_lacks_a_structure(make):
    judged = [
        verdict(make("a1", site="etz"), dice=0.1),
        verdict(make("a2", site="etz"), dice=0.3),
        verdict(make("a3", site="etz"), dice=0.2),
        verdict(make("empty", tumour=0, site="etz")),
        verdict(make("b1", site="ldn")),
        verdict(make("b2", site="ldn"), dice=0.4),
    ]
    after = with_every_site(judged, 0.5)
    assert [one.case.name for one in after if one.kept] == ["a2", "a3", "b1"]
    assert after[1].reason == "kept all the same, since site etz keeps 50%: agreement 0.30 is below 0.5"
    assert [one.kept for one in with_every_site(judged, 0.0)] == [False, False, False, False, True, False]
    # All that have all structures: a share of 1 cannot bring back what is not there.
    assert sum(one.kept for one in with_every_site(judged, 1.0)) == 5


def test_weight_is_the_agreement_and_never_0(make):
    judged = [verdict(make("a"), dice=0.75), verdict(make("b"), dice=0.0)]
    assert [one.weight for one in weighted_by_agreement(judged)] == [0.75, 0.05]


def test_judgement_is_read_back_unless_a_mask_has_changed(make, tmp_path):
    case, other = make("a"), make("b", tumour=4)
    judged = with_every_site([verdict(case), verdict(other)], 1.0)
    write_judged(tmp_path, judged)
    assert read_judged(tmp_path, [case, other], tmp_path) == judged
    assert count_kept(tmp_path) == (2, 2)
    table = (tmp_path / "masks.csv").read_text().splitlines()
    assert table[0] == "case,site,verdict,weight,agreement,vs_mm3,cochlea_mm3,reason"
    assert table[1] == "a,ldn,kept,1.0000,1.0000,20.0,8.0,"
    make("b", tumour=5)
    assert read_judged(tmp_path, [case, other], tmp_path) is None


def test_masks_are_scored_where_there_are_references_and_by_what_was_kept(make, tmp_path):
    right = make("a")
    wrong = replace(make("b"), label_path=make("c", tumour=0).label_path)
    unknown = make("d")
    masks = [right, wrong, unknown]
    cases = [right, make("b"), replace(unknown, label_path=None)]
    tumour, cochlea = gain_of(masks, [True, False, True], cases, EDITION)
    assert (tumour.masks, tumour.kept, tumour.references, tumour.failures) == (3, 2, 2, 1)
    assert (tumour.dice, tumour.dice_kept, tumour.dice_dropped) == (0.5, 1.0, 0.0)
    assert cochlea.dice == 1.0
    told = in_words(0, [tumour, cochlea])
    assert told == (
        "round 0: 2 of 3 masks kept, vs Dice 0.500 with 1 failures of 2, cochlea Dice 1.000 with 0 failures of 2"
    )
    as_found = [make("e", tumour=0), make("f", tumour=0), unknown]
    before = gain_of(masks, [True, False, True], cases, EDITION, as_found)
    assert [gain.dice_found for gain in before] == [0.0, 1.0]
    assert "vs Dice 0.500 (0.000 as found) with 1 failures of 2, cochlea Dice 1.000 with" in in_words(0, before)
    write_rounds(tmp_path / "rounds.csv", [before, [tumour, cochlea]])
    table = (tmp_path / "rounds.csv").read_text().splitlines()
    assert table[0].endswith("dice,dice_kept,dice_dropped,dice_found")
    assert [line.rpartition(",")[2] for line in table[1:]] == ["0.0000", "1.0000", "", ""]
    assert in_words(2, gain_of(masks, None, cases, EDITION)[:1]) == (
        "round 2: the last, vs Dice 0.500 with 1 failures of 2"
    )
