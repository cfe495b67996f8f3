from dataclasses import replace

import pytest

from training.data.slices import read_cases
from training.postprocessing.held_back import held_back, remaining


@pytest.fixture
def cases(run_dir):
    """Three cases and an altered copy of each, which has its label."""
    cases = read_cases(run_dir, "source")
    copies = []
    for case in cases:
        name = f"{case.name}_vs0"
        copies.append(replace(case, name=name, image_path=case.image_path.with_name(f"{name}.npy")))
    return [*cases, *copies]


def test_copies_are_held_back_with_their_case(cases):
    held = held_back(cases, 1, seed=0)
    assert [case.name for case in held] == [held[0].name, f"{held[0].name}_vs0"]
    kept = remaining(cases, 1, seed=0)
    assert len(kept) == 4
    assert not {case.label_path for case in kept} & {case.label_path for case in held}


def test_seed_decides_and_the_order_of_cases_does_not(cases):
    held = {case.name for case in held_back(cases, 1, seed=3)}
    assert held == {case.name for case in held_back(reversed(cases), 1, seed=3)}
    assert len({held_back(cases, 1, seed)[0].name for seed in range(20)}) == 3


def test_without_a_number_all_are_trained_on(cases):
    assert held_back(cases, 0, seed=0) == []
    assert remaining(cases, 0, seed=0) == cases


def test_last_case_is_never_held_back(cases):
    assert len(held_back(cases, 2, seed=0)) == 4
    with pytest.raises(ValueError, match="of 3 labelled cases, 3 cannot be held back"):
        held_back(cases, 3, seed=0)
