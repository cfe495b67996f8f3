from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from training import disk_space
from training.config import SegmenterConfig, SelfTrainingConfig
from training.disk_space import PICTURES_AND_LOGS, expected_bytes, shortage
from training.gan.discriminators import PatchGAN
from training.stage_table import (
    AUGMENT,
    CYCLEGAN,
    DIRECT_SEGMENTER,
    EXPORT,
    PIX2PIX,
    SECOND_CYCLEGAN,
    SEGMENTER,
    SELF_TRAINING,
    SYNTHESIS,
    TRANSFER,
)
from vestibule.networks import build_generator


@pytest.fixture
def prepared(tmp_path):
    """A run with 3 kB of T1 and 1 kB of T2."""
    for domain, kilobytes in (("source", 3), ("target", 1)):
        folder = tmp_path / "prepare" / domain
        folder.mkdir(parents=True)
        (folder / "case.npy").write_bytes(bytes(1000 * kilobytes))
    return tmp_path


def weights_of(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_checkpoints_of_gans_are_counted_weight_by_weight(config, prepared):
    generator = weights_of(build_generator(config.cyclegan.generator))
    discriminator = weights_of(PatchGAN(1, config.cyclegan.discriminator_width, config.cyclegan.discriminator_layers))
    # Two of each; two files; a weight and two moments of 4 bytes.
    expected = PICTURES_AND_LOGS + 2 * 2 * 12 * (generator + discriminator)
    assert expected_bytes(CYCLEGAN, config, prepared) == expected
    assert expected_bytes(PIX2PIX, config, prepared) > PICTURES_AND_LOGS


def test_volumes_are_counted_by_what_is_prepared(config, prepared):
    assert expected_bytes(TRANSFER, config, prepared) == PICTURES_AND_LOGS + 3000
    # The case itself and three altered copies.
    assert expected_bytes(AUGMENT, config, prepared) == PICTURES_AND_LOGS + 4 * 3000
    assert expected_bytes(EXPORT, config, prepared) == 0


def test_every_fold_and_round_of_nnunet_has_checkpoints_of_its_own(config, prepared):
    one = replace(config, segmenter=SegmenterConfig(folds=(), features_base=32))
    five = replace(config, segmenter=SegmenterConfig(features_base=32))
    narrow = replace(config, segmenter=SegmenterConfig(folds=(), features_base=16))
    fold = 4 * 12 * 31_000_000
    assert expected_bytes(SEGMENTER, one, prepared) == PICTURES_AND_LOGS + 4 * 3000 + fold
    assert expected_bytes(SEGMENTER, five, prepared) == PICTURES_AND_LOGS + 4 * 3000 + 5 * fold
    assert expected_bytes(SEGMENTER, narrow, prepared) == PICTURES_AND_LOGS + 4 * 3000 + fold // 4
    # Round 0, two with masks of the round before, and one on T2 alone.
    assert expected_bytes(SELF_TRAINING, one, prepared) == PICTURES_AND_LOGS + 4 * (4 * (4 * 3000 + 1000) + fold)


def test_second_translator_makes_as_many_volumes_again(config, prepared):
    two = replace(config, arms=("direct", "blending"), second_cyclegan=config.cyclegan)
    assert expected_bytes(SYNTHESIS, two, prepared) == PICTURES_AND_LOGS + 2 * 3000
    assert expected_bytes(AUGMENT, two, prepared) == PICTURES_AND_LOGS + 2 * 4 * 3000
    coded = replace(two, cyclegan=replace(config.cyclegan, site_code=True))
    # London and Tilburg by the first translator, and the second.
    assert expected_bytes(SYNTHESIS, coded, prepared) == PICTURES_AND_LOGS + 3 * 3000
    assert expected_bytes(SECOND_CYCLEGAN, two, prepared) == expected_bytes(CYCLEGAN, two, prepared)


def test_rounds_of_either_arm_are_counted_by_their_section(config, prepared):
    one = SegmenterConfig(folds=(), features_base=32)
    rounds = replace(config, arms=("direct", "blending"), segmenter=one, self_training=SelfTrainingConfig(rounds=1))
    fold = 4 * 12 * 31_000_000
    assert expected_bytes(DIRECT_SEGMENTER, rounds, prepared) == PICTURES_AND_LOGS + 3 * (4 * (3000 + 1000) + fold)
    assert expected_bytes(SELF_TRAINING, rounds, prepared) == PICTURES_AND_LOGS + 3 * (4 * (4 * 3000 + 1000) + fold)
    plain = replace(rounds, self_training=None)
    assert expected_bytes(DIRECT_SEGMENTER, plain, prepared) == PICTURES_AND_LOGS + 4 * 3000 + fold


def test_disk_that_will_not_suffice_is_told_and_one_that_will_is_not(config, prepared, monkeypatch):
    needed = expected_bytes(CYCLEGAN, config, prepared)

    def of(free):
        monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        return shortage(CYCLEGAN, config, prepared)

    assert of(needed) is None
    assert "will write about" in of(needed - 1)
    # What an earlier try has written is there already.
    (prepared / "cyclegan").mkdir()
    np.save(prepared / "cyclegan" / "state.npy", np.zeros(1000))
    assert of(needed - 1) is None
