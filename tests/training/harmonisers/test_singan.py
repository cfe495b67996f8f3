from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from training.data.reference_slice import choose_references, crop_range
from training.harmonisers import singan
from training.harmonisers.singan import (
    SinGAN,
    channels,
    load_cascade,
    pyramid_sizes,
    resize,
    train,
)
from vestibule.errors import InputError


def test_pyramid_grows_in_whole_steps_from_the_coarsest_to_the_full_size(config):
    settings = replace(config.harmoniser, coarsest_px=25, scale_factor=0.75)
    sizes = pyramid_sizes((250, 250), settings)
    assert sizes[0] == (25, 25)
    assert sizes[-1] == (250, 250)
    # ln(25/250) / ln(0.75) = 8.004: nine steps
    assert len(sizes) == 10
    ratios = [b[0] / a[0] for a, b in pairwise(sizes)]
    assert max(ratios) - min(ratios) < 0.06


def test_pyramid_keeps_the_aspect(config):
    sizes = pyramid_sizes((40, 80), replace(config.harmoniser, coarsest_px=20))
    assert all(abs(2 * y - x) <= 1 for y, x in sizes)


def test_channels_double_every_four_scales_up_to_the_most(config):
    settings = replace(config.harmoniser, width=32, max_width=128)
    assert channels(11, settings) == [32] * 4 + [64] * 4 + [128] * 3
    assert channels(5, replace(settings, max_width=None)) == [32] * 5


def test_scales_of_other_widths_are_trained_kept_and_loaded(config, run_dir):
    doubling = replace(config.harmoniser, width=4, max_width=8, scale_factor=0.85)
    train(replace(config, harmoniser=doubling), run_dir)
    model, record = load_cascade(run_dir / "harmoniser", torch.device("cpu"))
    assert record["widths"] == [4, 4, 4, 4, 8, 8]
    assert model.inject(torch.zeros(1, 1, 24, 24), 5).shape == (1, 1, 24, 24)


def test_image_smaller_than_what_the_coarsest_scale_sees_is_refused(config):
    with pytest.raises(InputError, match="at least 7 px"):
        pyramid_sizes((6, 100), config.harmoniser)


def test_untrained_scale_adds_its_correction_to_the_coarser_image():
    model = SinGAN([(12, 12)], [4], 3)
    for parameter in model.generators[0].layers[-1].parameters():
        nn.init.zeros_(parameter)
    image = torch.randn(2, 1, 12, 12).clamp(-1, 1)
    assert torch.equal(model.generators[0](torch.zeros_like(image), image), image)


@pytest.mark.parametrize("size", [(16, 16), (30, 21), (9, 40)])
def test_images_of_any_size_are_injected_at_any_scale_but_that_of_noise(size):
    model = SinGAN([(12, 12), (14, 14), (16, 16)], [4, 4, 4], 3).eval()
    for scale in (1, 2):
        result = model.inject(torch.zeros(2, 1, *size), scale)
        assert result.shape == (2, 1, *size)
        assert torch.isfinite(result).all()


@pytest.mark.parametrize("scale", [-1, 0, 3])
def test_scale_out_of_range_is_refused(scale):
    model = SinGAN([(12, 12), (14, 14), (16, 16)], [4, 4, 4], 3)
    with pytest.raises(ValueError, match="from 1 to 2"):
        model.inject(torch.zeros(1, 1, 16, 16), scale)


def test_resize_of_a_constant_is_constant():
    assert torch.allclose(resize(torch.full((1, 1, 30, 20), 0.3), (13, 9)), torch.tensor(0.3))


def test_crop_stays_inside_and_holds_the_tumour():
    assert crop_range(np.array([1, 2, 3]), 32, 16) == slice(0, 16)
    assert crop_range(np.array([29, 30]), 32, 16) == slice(16, 32)
    assert crop_range(np.array([14, 17]), 32, 16) == slice(8, 24)
    assert crop_range(np.array([5]), 10, 64) == slice(0, 10)


def test_reference_is_drawn_among_tumour_slices_and_by_the_seed(config, run_dir):
    reference = choose_references(config, run_dir)[0]
    assert reference.chosen == "drawn"
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


@torch.no_grad()
def test_samples_share_what_scales_before_their_start_give_back():
    torch.manual_seed(0)
    model = SinGAN([(12, 12), (16, 16), (24, 24)], [4, 4, 4], 2).eval()
    model.fixed_noise.normal_()
    model.amplitudes.copy_(torch.tensor([1.0, 1.0, 0.0]))
    assert not torch.equal(*model.sample(2, 2, start=0))
    assert not torch.equal(*model.sample(2, 2, start=1))
    for image in model.sample(2, 2, start=2):
        torch.testing.assert_close(image, model.reconstruct(2)[0])


def test_training_reconstructs_better_than_the_coarsest_scale_alone(config, run_dir):
    longer = replace(config, harmoniser=replace(config.harmoniser, iterations=60))
    train(longer, run_dir)
    model, record = load_cascade(run_dir / "harmoniser", torch.device("cpu"))
    reference = np.load(run_dir / "harmoniser" / "reference.npz")["image"]
    full = torch.from_numpy(reference)[None, None]
    blurred = resize(resize(full, model.sizes[0]), model.sizes[-1])
    coarse_error = float((blurred - full).square().mean().sqrt()) / 2
    assert record["reconstruction_rmse"] < coarse_error
    assert record["chosen"] == "drawn"
    assert (run_dir / "harmoniser" / "samples.png").stat().st_size > 1000


def test_killed_between_scales_gives_the_weights_of_an_uninterrupted_run(config, run_dir, monkeypatch):
    whole = load_file(train(config, run_dir)[0])
    for path in (run_dir / "harmoniser" / "scales").glob("*.pt"):
        path.unlink()
    original = singan.train_scale

    def die_at_the_second(model, scale, *rest):
        if scale == 1:
            raise KeyboardInterrupt
        original(model, scale, *rest)

    monkeypatch.setattr(singan, "train_scale", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(config, run_dir)
    monkeypatch.setattr(singan, "train_scale", original)
    resumed = load_file(train(config, run_dir)[0])
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


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


def test_every_reference_gets_a_cascade_of_its_own(config, run_dir, monkeypatch):
    alone = load_file(train(config, run_dir)[0])
    monkeypatch.setattr(singan, "side_by_side", lambda function, jobs: [function(*job) for job in jobs])
    for path in (run_dir / "harmoniser" / "scales").glob("*.pt"):
        path.unlink()
    paths = train(replace(config, reference=replace(config.reference, count=2)), run_dir)
    (first, one), (second, other) = singan.load_cascades(run_dir, torch.device("cpu"))
    assert len({path.parent for path in paths}) == 2
    assert one["case"] != other["case"]
    assert all(torch.equal(alone[name], value) for name, value in first.state_dict().items())
    assert not torch.equal(first.fixed_noise, second.fixed_noise)
