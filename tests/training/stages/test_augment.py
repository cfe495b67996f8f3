from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import AugmentConfig, read_config, stages_of
from training.data.slices import read_cases
from training.harmonisers.singan import SinGANHarmoniser
from training.harmonisers.singan_network import SinGAN, pyramid_sizes
from training.stages.augment import altered_copies, factors_for, multiplied
from vestibule.editions import get_edition

EVEN, UNEVEN = np.zeros(8), np.tile([-0.5, 0.5], 4)


@pytest.mark.parametrize(
    ("structure", "volume_mm3", "inside", "expected"),
    [
        ("vs", 200.0, EVEN, (0.6, 0.8, 1.2)),
        ("vs", 1000.0, UNEVEN, (0.9,)),
        ("vs", 3000.0, EVEN, ()),
        ("vs", 3000.0, UNEVEN, (0.7, 1.2, 1.5)),
        ("cochlea", 100.0, EVEN, (2.0,)),
    ],
)
def test_factors_are_those_of_the_tumours_size_and_texture(structure, volume_mm3, inside, expected):
    config = AugmentConfig(cochlea_factors=(2.0,), medium_factors=(0.9,))
    size = get_edition(2021).size_class(volume_mm3)
    assert factors_for(structure, size, inside, config) == expected


def test_intensity_is_multiplied_on_0_to_1():
    # 0.5 on [-1, 1] is 0.75; halved 0.375, which is -0.25; doubled it is clipped at 1.
    assert multiplied(np.array([0.5]), 0.5) == pytest.approx([-0.25])
    assert multiplied(np.array([0.5]), 2.0) == pytest.approx([1.0])


def test_copies_differ_from_the_plain_one_at_the_tumour_alone(run_dir):
    torch.manual_seed(0)
    harmoniser = SinGANHarmoniser(SinGAN([(12, 12), (16, 16)], [4, 4], 3).eval())
    case = read_cases(run_dir, "source")[0]
    plain = np.random.default_rng(0).uniform(-1, 1, case.image.shape).astype(np.float32)
    copies = altered_copies(case, plain, harmoniser, AugmentConfig(level=1), get_edition(2021), None)
    assert list(copies) == ["_vs0", "_vs1", "_vs2"]
    tumour = np.asarray(case.labels) == 1
    for volume in copies.values():
        changed = volume != plain
        assert changed[tumour].mean() > 0.9
        assert not changed[~tumour.any(axis=(1, 2))].any()
        assert changed.mean() < 0.2


def test_arm_has_its_own_stages_and_leaves_out_those_of_the_others(config):
    names = [stage.name for stage in stages_of(replace(config, arms=("blending",)))]
    assert names == ["prepare", "cyclegan", "harmoniser", "augment", "self_training", "export"]


def test_configuration_of_2022_has_the_published_scales(repository):
    config = read_config(repository / "configs" / "crossmoda2022.yaml")
    sizes = pyramid_sizes(config.prepare.size_yx, config.harmoniser)
    assert len(sizes) == 17 + 1
    assert config.augment.level < len(sizes)
    assert config.augment == AugmentConfig(cochlea_factors=(2.0, 3.0, 4.0))
    rounds = config.self_training
    assert (rounds.rounds, rounds.last_on_target, rounds.last_epochs) == (2, True, 1000)
    assert config.prepare.percentiles_of_target == (0.5, 95.0)
