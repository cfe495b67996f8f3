"""A second CycleGAN: as much synthetic T2 again, by weights of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.config import stages_of
from training.data.slices import read_cases
from training.harmonisers.singan import SinGANHarmoniser
from training.harmonisers.singan_network import SinGAN
from training.postprocessing.held_back import remaining
from training.stage_table import AUGMENT, CYCLEGAN, SECOND_CYCLEGAN, SYNTHESIS
from training.stages import augment, cyclegan, second_cyclegan, synthesis


@pytest.fixture
def two(config):
    return replace(config, arms=("direct", "blending"), second_cyclegan=config.cyclegan)


def test_it_is_trained_where_there_is_a_section_and_an_arm_that_uses_it(two, config):
    names = [stage.name for stage in stages_of(two)]
    assert names[:4] == ["prepare", "cyclegan", "second_cyclegan", "harmoniser"]
    assert SECOND_CYCLEGAN not in stages_of(replace(two, second_cyclegan=None))
    with pytest.raises(ValueError, match=r"for arms that train on synthetic T2, \['direct', 'blending'\]"):
        replace(config, second_cyclegan=config.cyclegan)
    with pytest.raises(ValueError, match=r"second_cyclegan\.align needs a second_cyclegan\.sampling\.crop_yx"):
        replace(two, second_cyclegan=replace(config.cyclegan, align=True))


def test_with_the_same_settings_its_weights_are_others(two, run_dir):
    (run_dir / "second_cyclegan").mkdir()
    cyclegan.train(two, run_dir)
    paths = second_cyclegan.train(two, run_dir)
    assert [path.name for path in paths] == ["source_to_target.safetensors", "target_to_source.safetensors"]
    for path in paths:
        first = load_file(CYCLEGAN.folder(run_dir) / path.name)
        for name, tensor in load_file(path).items():
            # Biases begin at 0.
            assert tensor.dim() == 1 or not torch.equal(tensor, first[name])


@pytest.fixture
def translators(monkeypatch):
    """Stand-ins: the first CycleGAN halves an image, the second makes it negative."""

    def translate(stage, name, volume, site):
        assert (name, site) == ("source_to_target", None)
        return volume / 2 if stage == CYCLEGAN else -volume

    for module in (synthesis, augment):
        monkeypatch.setattr(module, "Translators", lambda run_dir: translate)


def volumes(run_dir, stage):
    return {case.name: np.asarray(case.image, np.float32) for case in read_cases(run_dir, "source", stage)}


def test_every_case_is_translated_by_both_and_held_back_with_both(two, run_dir, translators):
    SYNTHESIS.folder(run_dir).mkdir()
    synthesis.synthesise(two, run_dir)
    found = volumes(run_dir, SYNTHESIS)
    assert list(found)[:2] == ["case_0", "case_0_second"]
    assert len(found) == 6
    source = read_cases(run_dir, "source")[0].image.astype(np.float32)
    np.testing.assert_allclose(found["case_0"], source / 2, atol=1e-3)
    np.testing.assert_array_equal(found["case_0_second"], -source)
    left = remaining(read_cases(run_dir, "source", SYNTHESIS), 1, seed=0)
    assert len(left) == 4
    assert len({case.label_path for case in left}) == 2


def test_altered_copies_are_made_of_both_and_those_of_the_first_stay_as_they_are(
    two, run_dir, translators, monkeypatch
):
    torch.manual_seed(0)
    harmoniser = SinGANHarmoniser(SinGAN([(12, 12), (16, 16)], [4, 4], 3).eval())
    monkeypatch.setattr(augment, "load_harmonisers", lambda run_dir: [(harmoniser, None)])
    two = replace(two, augment=replace(two.augment, level=1, cochlea_level=1))
    AUGMENT.folder(run_dir).mkdir()
    augment.augment(replace(two, second_cyclegan=None), run_dir)
    alone = volumes(run_dir, AUGMENT)
    augment.augment(two, run_dir)
    both = volumes(run_dir, AUGMENT)
    assert len(alone) == 12
    assert len(both) == 24
    assert {"case_2_second", "case_2_second_vs2"} <= set(both)
    for name, volume in alone.items():
        np.testing.assert_array_equal(both[name], volume)
