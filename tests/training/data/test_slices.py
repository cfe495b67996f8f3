from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import SamplingConfig
from training.data.slices import SliceSampler, load_labels, load_slices, read_cases
from vestibule.errors import InputError


def test_sites_are_drawn_alike_however_many_cases_they_have(run_dir):
    cases = read_cases(run_dir, "source")
    sampler = SliceSampler(cases, SamplingConfig(batch_size=400))
    sites = [pick.case.site for pick in sampler.sample(np.random.default_rng(0))]
    assert {case.site for case in cases} == {"etz", "ldn"}
    assert abs(sites.count("etz") / 400 - 0.5) < 0.1


def test_cases_of_no_known_site_are_sampled_as_one_site(run_dir):
    known, *others = read_cases(run_dir, "source")
    cases = [known, *(replace(case, site=None) for case in others)]
    sampler = SliceSampler(cases, SamplingConfig(batch_size=400))
    sites = [pick.case.site for pick in sampler.sample(np.random.default_rng(0))]
    assert abs(sites.count(None) / 400 - 0.5) < 0.1


def test_black_slices_are_never_drawn(run_dir):
    cases = [replace(case, foreground=(0.0, 0.0, 0.4, 0.0, 0.4, 0.0)) for case in read_cases(run_dir, "source")]
    picks = SliceSampler(cases, SamplingConfig(batch_size=100)).sample(np.random.default_rng(0))
    assert {pick.index for pick in picks} == {2, 4}


def test_volumes_of_air_are_refused(run_dir):
    cases = [replace(case, foreground=(0.0,) * 6) for case in read_cases(run_dir, "source")]
    with pytest.raises(InputError, match="is the data right"):
        SliceSampler(cases, SamplingConfig())


def test_tumour_share_of_one_draws_only_tumour_slices(run_dir):
    sampler = SliceSampler(read_cases(run_dir, "source"), SamplingConfig(batch_size=100), tumour_share=1.0)
    indices = {pick.index for pick in sampler.sample(np.random.default_rng(0))}
    assert indices == {1, 2, 3, 4}


def test_crops_lie_inside_and_mirroring_turns_left_to_right(run_dir):
    sampler = SliceSampler(read_cases(run_dir, "source"), SamplingConfig(batch_size=50, crop_yx=(16, 8)))
    picks = sampler.sample(np.random.default_rng(0))
    batch = load_slices(picks)
    assert batch.shape == (50, 1, 16, 8)
    assert batch.dtype == torch.float32
    mirrored = next(index for index, pick in enumerate(picks) if pick.mirrored)
    pick = picks[mirrored]
    expected = np.asarray(pick.case.image[(pick.index, *pick.box)])[:, ::-1]
    np.testing.assert_array_equal(batch[mirrored, 0].numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("rows", [0.0, 1.0, 2.6, -1.5, 40.0])
def test_parts_of_two_samplers_lie_as_far_apart_as_asked(run_dir, rows):
    sampler = SliceSampler(read_cases(run_dir, "source"), SamplingConfig(batch_size=4000, crop_yx=(24, 32)))
    firsts = [
        np.array([pick.box[0].start for pick in sampler.sample(np.random.default_rng(seed), apart)])
        for seed, apart in ((0, -rows), (1, rows))
    ]
    assert all(first.min() >= 0 and first.max() <= 8 for first in firsts)
    assert firsts[1].mean() - firsts[0].mean() == pytest.approx(np.clip(rows, -8, 8), abs=0.15)


def test_labels_are_read_where_their_slices_are(run_dir):
    sampler = SliceSampler(read_cases(run_dir, "source"), SamplingConfig(batch_size=20, crop_yx=(24, 24)))
    picks = sampler.sample(np.random.default_rng(0))
    tumour = load_labels(picks) == 1
    assert tumour.any()
    # The fixture paints tumours at 0.8 and everything else below 0.5.
    assert torch.equal(tumour, load_slices(picks) > 0.6)


def test_same_seed_draws_the_same_slices(run_dir):
    sampler = SliceSampler(read_cases(run_dir, "target"), SamplingConfig(batch_size=8))
    first, second = (sampler.sample(np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_unprepared_run_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="stage 'prepare' is not done"):
        read_cases(tmp_path, "source")


def test_case_larger_than_the_others_is_cut_to_their_size(run_dir):
    path = run_dir / "prepare" / "source" / "case_1.npy"
    np.save(path, np.pad(np.load(path), ((0, 0), (16, 16), (16, 16))))
    picks = SliceSampler(read_cases(run_dir, "source"), SamplingConfig(batch_size=20)).sample(np.random.default_rng(0))
    assert "case_1" in {pick.case.name for pick in picks}
    assert load_slices(picks).shape == (20, 1, 32, 32)


def test_an_index_of_another_form_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "prepare/index.json"
    path.parent.mkdir(exist_ok=True)
    for content in ('{"cases": [1]}', '{"cases": 1}', "{}", '{"cases": [{"domain": "source", "case": "a"}]}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"index\.json: damaged .*; make stage 'prepare' again"):
            read_cases(tmp_path, "source")
