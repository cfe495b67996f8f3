import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from training.augmentation.local_contrast import (
    Change,
    LocalContrast,
    apply_changes,
    sample_changes,
    with_local_contrast,
)
from training.config import LocalContrastConfig
from vestibule.editions import get_edition

EDITION = get_edition(2023)
IMAGE = np.array([[-2.0, -0.5, 0.0, 0.5, 1.0, 2.0]], np.float32)
# Outside of the case, background, both parts of the tumour, the cochlea.
LABELS = np.array([[-1, 0, 1, 1, 2, 3]])


def test_factor_multiplies_what_lies_above_the_origin_inside_the_structure_alone():
    change = Change((1, 2), 2.0, 0.0, None)
    assert apply_changes(IMAGE, LABELS, [change]).tolist() == [[-2.0, -0.5, 0.0, 1.0, 2.0, 2.0]]
    # Half of the signal above the darkest voxel: 0 lies 2 above it, and comes to lie 1 above it.
    halved = Change((1, 2), 0.5, -2.0, None)
    assert apply_changes(IMAGE, LABELS, [halved]).tolist() == [[-2.0, -0.5, -1.0, -0.75, -0.5, 2.0]]


def test_pattern_varies_the_factor_within_the_structure_and_never_turns_it_negative():
    pattern = np.array([[0, 0, 0.5, 0.5, -2.0, 0]], np.float32)
    change = Change((1, 2), 2.0, 0.0, pattern)
    assert apply_changes(IMAGE, LABELS, [change]).tolist() == [[-2.0, -0.5, 0.0, 1.5, 0.0, 2.0]]


def sampled(count=400, **settings):
    config = LocalContrastConfig(**settings)
    generator = np.random.default_rng(0)
    return [sample_changes(IMAGE, config, EDITION, generator) for _ in range(count)]


def test_structures_are_changed_by_their_own_factors_and_as_often_as_asked():
    changes = sampled(probability=0.2)
    of_tumour = [change for patch in changes for change in patch if change.values == (1, 2)]
    of_cochlea = [change for patch in changes for change in patch if change.values == (3,)]
    assert 50 < len(of_tumour) < 115
    assert 50 < len(of_cochlea) < 115
    assert all(1.2 <= change.factor <= 2.0 for change in of_tumour)
    assert all(0.5 <= change.factor <= 1.0 for change in of_cochlea)
    assert {change.origin for change in of_tumour} == {0.0}


def test_darkest_voxel_of_the_patch_can_be_the_origin():
    (change,) = sampled(1, probability=1.0, cochlea_factors=None, origin="darkest")[0]
    assert change.origin == -2.0


def test_pattern_is_smooth_with_the_asked_spread():
    config = LocalContrastConfig(probability=1.0, unevenness=0.3, cochlea_factors=None)
    image = np.zeros((12, 24, 24), np.float32)
    (change,) = sample_changes(image, config, EDITION, np.random.default_rng(0))
    assert change.pattern.std() == pytest.approx(0.3, rel=1e-3)
    steps = np.diff(change.pattern, axis=1)
    assert steps.std() < 0.2


def test_same_generator_gives_the_same_changes():
    first, second = (sampled(20, unevenness=0.2) for _ in range(2))
    assert [change.factor for patch in first for change in patch] == [
        change.factor for patch in second for change in patch
    ]


def test_edition_without_the_structure_is_left_as_it_is():
    config = LocalContrastConfig(probability=1.0)
    bare = type("Bare", (), {"structures": {}})
    assert sample_changes(IMAGE, config, bare, np.random.default_rng(0)) == []


def test_nnunets_transforms_have_it_behind_what_moves_voxels_and_before_noise():
    contrast = LocalContrast(LocalContrastConfig(probability=1.0), EDITION)
    noise, mirror = GaussianNoiseTransform(), MirrorTransform((0, 1))
    spatial = SpatialTransform((8, 8), 0, False, p_elastic_deform=0, p_rotation=0, p_scaling=0)
    composed = with_local_contrast(ComposeTransforms([spatial, noise, mirror]), contrast)
    assert composed.transforms == [spatial, contrast, noise, mirror]


@pytest.mark.parametrize("shape", [(1, 1, 6), (1, 2, 1, 6)])
def test_transform_changes_the_image_and_not_the_labels(shape):
    contrast = LocalContrast(LocalContrastConfig(probability=1.0), EDITION)
    image = torch.from_numpy(np.broadcast_to(IMAGE, shape).copy())
    labels = torch.from_numpy(np.broadcast_to(LABELS, shape).copy())
    np.random.seed(0)
    result = contrast(image=image.clone(), segmentation=labels)
    changed = result["image"][0].reshape(-1, 6)[0]
    assert result["image"].shape == image.shape
    assert result["image"].dtype == torch.float32
    assert torch.equal(result["segmentation"], labels)
    assert changed[:3].tolist() == [-2.0, -0.5, 0.0]
    assert 0.6 <= changed[3] <= 1.0
    assert changed[4] == pytest.approx(2 * changed[3])
    assert 1.0 <= changed[5] <= 2.0


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"tumour_factors": (2.0, 1.2)}, "tumour_factors must be above 0 and rise"),
        ({"cochlea_factors": (0.0, 1.0)}, "cochlea_factors must be above 0 and rise"),
        ({"origin": "zero"}, "origin must be one of"),
        ({"stages": ("cyclegan",)}, "local_contrast.stages must be among"),
        ({"probability": 1.5}, "probability must be from 0 to 1"),
    ],
)
def test_wrong_setting_is_refused(settings, cause):
    with pytest.raises(ValueError, match=cause):
        LocalContrastConfig(**settings)
