from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from training.config import SelfTrainingConfig
from training.data.slices import read_cases
from training.pseudo_labels import agreement
from training.pseudo_labels.agreement import agreement_of, mirror, overlap, overlaps_of, views_of
from vestibule.editions import get_edition

EDITION = get_edition(2021)


def test_mirrored_image_and_each_of_several_folds_are_asked():
    asked = SelfTrainingConfig()
    assert [view.name for view in views_of(asked, (0, 2))] == ["mirrored", "fold 0", "fold 2"]
    assert [view.name for view in views_of(asked, ())] == ["mirrored"]
    assert views_of(replace(asked, mirrored=False), (3,)) == []


def test_overlap_is_dice_by_structure_and_1_where_neither_has_it():
    one, other = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    one[0, 0, :3], other[0, 0, 1:4] = 1, 1
    assert overlap(one, other, EDITION) == {"vs": pytest.approx(2 / 3), "cochlea": 1.0}


def test_agreement_is_the_mean_over_views_of_the_worst_structure():
    overlaps = {"mirrored": {"vs": 0.8, "cochlea": 0.9}, "fold 0": {"vs": 0.6, "cochlea": 0.3}}
    assert agreement_of(overlaps) == pytest.approx(0.6)
    assert agreement_of({}) is None


def test_image_goes_through_both_translators_where_a_run_has_two():
    called = []

    def translators(stage, name, volume, site=None):
        called.append((stage.name, name, site))
        return volume / 2

    *_, view = views_of(SelfTrainingConfig(), (), translators)
    case = SimpleNamespace(site="etz")
    assert view.before(np.ones((1, 2, 2)), case)[0, 0].tolist() == [0.25, 0.25]
    assert called == [("cyclegan", "target_to_source", None), ("second_cyclegan", "source_to_target", "etz")]
    assert len(views_of(SelfTrainingConfig(translators=False), (), translators)) == 1


class FindsLeft:
    """A segmenter that takes the first columns of any image for tumour, however the image lies."""

    def probabilities(self, image, spacing):
        tumour = np.zeros_like(image)
        tumour[:, :, :4] = 1
        return np.stack([1 - tumour, tumour, np.zeros_like(tumour)])


class FindsDark:
    """A segmenter that finds the tiny cases' tumours by their intensity."""

    def probabilities(self, image, spacing):
        tumour = ((image < 0.1) & (image > -0.6)).astype(np.float32)
        return np.stack([1 - tumour, tumour, np.zeros_like(tumour)])


@pytest.mark.parametrize(("segmenter", "agrees"), [(FindsLeft(), False), (FindsDark(), True)])
def test_mask_of_the_mirrored_image_is_brought_back_before_it_is_compared(
    config, run_dir, monkeypatch, segmenter, agrees
):
    asked = []

    def load(config, folder, folds, mirrored):
        asked.append((folds, mirrored))
        return segmenter

    monkeypatch.setattr(agreement, "load_segmenter", load)
    cases = read_cases(run_dir, "target")
    if not agrees:
        path = run_dir / "left.npy"
        left = segmenter.probabilities(np.zeros(cases[0].image.shape), None).argmax(axis=0)
        np.save(path, left.astype(np.uint8))
        cases = [replace(case, label_path=path) for case in cases]
    overlaps = overlaps_of(cases, views_of(SelfTrainingConfig(), ()), config, run_dir, EDITION)
    assert asked == [(None, False)]
    for found in overlaps.values():
        assert (found["mirrored"]["vs"] > 0.9) == agrees
        assert agrees or found["mirrored"]["vs"] == 0


def test_mirroring_exchanges_left_and_right_alone():
    volume = np.arange(12).reshape(1, 3, 4)
    assert mirror(volume, None)[0, 0].tolist() == [3, 2, 1, 0]
    np.testing.assert_array_equal(mirror(mirror(volume, None), None), volume)
