from dataclasses import replace

import numpy as np
import pytest

from training.data.reference_slice import Reference, choose_references, crop_range
from vestibule.errors import InputError


def test_crop_stays_inside_and_holds_the_tumour():
    assert crop_range(np.array([1, 2, 3]), 32, 16) == slice(0, 16)
    assert crop_range(np.array([29, 30]), 32, 16) == slice(16, 32)
    assert crop_range(np.array([14, 17]), 32, 16) == slice(8, 24)
    assert crop_range(np.array([5]), 10, 64) == slice(0, 10)


def test_reference_is_sampled_among_tumour_slices_and_by_the_seed(config, run_dir):
    reference = choose_references(config, run_dir)[0]
    assert reference.chosen == "sampled"
    assert reference.slice in (1, 2, 3, 4)
    assert reference.tumour.any()
    assert reference.image.shape == (24, 24)
    again = choose_references(config, run_dir)[0]
    assert (again.case, again.slice) == (reference.case, reference.slice)
    picks = {
        (r.case, r.slice) for r in (choose_references(replace(config, seed=seed), run_dir)[0] for seed in range(12))
    }
    assert len(picks) > 3


def test_given_reference_is_taken_and_recorded(config, run_dir):
    given = replace(config, reference=replace(config.reference, case="case_1", slice=3))
    reference = choose_references(given, run_dir)[0]
    assert (reference.case, reference.slice, reference.chosen) == ("case_1", 3, "given")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"case": "nobody", "slice": 1}, "no target case"),
        ({"case": "case_1", "slice": 99}, "from 0 to 5"),
        ({"case": "case_1"}, "from 0 to 5"),
        ({"min_tumour_px": 10_000}, "no labelled target slice"),
    ],
)
def test_unusable_reference_is_named(config, run_dir, changes, cause):
    with pytest.raises(InputError, match=cause):
        choose_references(replace(config, reference=replace(config.reference, **changes)), run_dir)


def test_constant_reference_is_refused(config, run_dir):
    path = run_dir / "prepare" / "target" / "case_1.npy"
    np.save(path, np.full_like(np.load(path), -1))
    with pytest.raises(InputError, match="slice 3 is constant"):
        choose_references(replace(config, reference=replace(config.reference, case="case_1", slice=3)), run_dir)


def test_several_references_are_slices_of_as_many_cases(config, run_dir):
    several = replace(config, reference=replace(config.reference, count=3))
    references = choose_references(several, run_dir)
    assert {reference.case for reference in references} == {"case_0", "case_1", "case_2"}
    assert references[0].slice == choose_references(config, run_dir)[0].slice
    with pytest.raises(InputError, match="asks for 4 cases; 3 labelled"):
        choose_references(replace(config, reference=replace(config.reference, count=4)), run_dir)


def test_named_reference_is_the_only_one(config):
    with pytest.raises(ValueError, match="1 where a case is named"):
        replace(config.reference, count=2, case="case_1", slice=3)


def test_saved_reference_is_read_as_it_was(tmp_path):
    image = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    Reference("case_1", 3, "given", image, image > 0).save(tmp_path)
    again = Reference.load(tmp_path)
    assert (again.case, again.slice, again.chosen) == ("case_1", 3, "given")
    np.testing.assert_array_equal(again.image, image)
    np.testing.assert_array_equal(again.tumour, image > 0)


def test_folder_without_a_reference_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no reference slice; run the stage 'harmoniser'"):
        Reference.load(tmp_path)
