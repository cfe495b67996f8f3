from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from training.arms import default_of
from training.config import (
    GPNNConfig,
    ReferenceConfig,
    RunConfig,
    SamplingConfig,
    SegmenterConfig,
    SinGANConfig,
    build,
    read_config,
)
from vestibule.errors import InputError

MINIMAL = "name: x\nintended_use: phantom\nedition: 2022\n"
# Ten times as many values in each line as in the line before it.
BOMB = "".join(f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n" for before, key in pairwise("abcdefgh"))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_every_shipped_configuration_is_read(repository):
    names = {path.stem: read_config(path).name for path in (repository / "configs").glob("*.yaml")}
    assert {"phantom", "crossmoda2021"} <= set(names)


def test_shipped_configurations_share_their_keys(repository):
    phantom, challenge = (read_config(repository / "configs" / f"{name}.yaml") for name in ("phantom", "crossmoda2021"))
    assert phantom.phantom is not None
    assert challenge.phantom is None
    assert challenge.cyclegan.generator.blocks == 9
    assert challenge.pix2pix.pixel_weight == phantom.pix2pix.pixel_weight == 100


def test_unknown_key_is_fatal_and_names_the_nearest_known(tmp_path):
    path = write(tmp_path, MINIMAL + "cyclegan:\n  iteratoins: 3\n")
    with pytest.raises(InputError, match=r"config\.yaml: unknown key 'cyclegan.iteratoins'; did you mean 'iterations'"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("seed: one\n", "seed must be int"),
        ("seed: true\n", "seed must be int"),
        ("prepare:\n  size_yx: [96]\n", "must have 2 values"),
        ("prepare:\n  size_yx: 96\n", "must be a list"),
        ("prepare:\n  size_yx: [90, 96]\n", "divisible by 4"),
        ("cyclegan: 3\n", "must be a mapping"),
        ("arms: [twoshot]\n", "arms must be among"),
        ("transfer:\n  intensity: brighter\n", "intensity must be one of"),
        ("transfer:\n  rim_px: -0.5\n", "must not be negative, got -0.5 and 1.0"),
        ("cyclegan:\n  generator:\n    architecture: vit\n", "architecture must be one of"),
    ],
)
def test_wrong_value_is_refused_with_its_place(tmp_path, text, cause):
    with pytest.raises(InputError, match=cause):
        read_config(write(tmp_path, MINIMAL + text))


def test_edition_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(InputError, match="edition must be one of"):
        read_config(write(tmp_path, MINIMAL.replace("2022", "2019")))


@pytest.mark.parametrize("key", ["name", "intended_use", "edition"])
def test_missing_key_without_a_default_is_named(tmp_path, key):
    # Above all the edition, on which the meaning of labels depends.
    lines = [line for line in MINIMAL.splitlines() if not line.startswith(f"{key}:")]
    with pytest.raises(InputError, match=f"lacks {key}, which has no default"):
        read_config(write(tmp_path, "\n".join(lines) + "\n"))


def test_missing_file_and_broken_yaml_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml: cannot be read"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="not YAML"):
        read_config(write(tmp_path, "a: [1"))


def test_crop_must_fit_the_prepared_slice():
    with pytest.raises(ValueError, match="must fit into"):
        build(RunConfig, _with_crop([128, 64]), "")
    assert build(RunConfig, _with_crop([64, 32]), "").cyclegan.sampling == SamplingConfig(crop_yx=(64, 32))


def test_aligning_needs_parts_that_can_lie_apart():
    values = _with_crop([96, 64])
    values["cyclegan"]["align"] = True
    with pytest.raises(ValueError, match=r"cyclegan\.align needs .* fewer rows"):
        build(RunConfig, values, "")
    values["cyclegan"]["sampling"]["crop_yx"] = [88, 96]
    assert build(RunConfig, values, "").cyclegan.align


def _with_crop(crop: list[int]) -> dict:
    resnet = {"architecture": "resnet"}
    return {
        "name": "x",
        "intended_use": "phantom",
        "edition": 2022,
        "prepare": {"size_yx": [96, 96]},
        "cyclegan": {"sampling": {"crop_yx": crop}},
        "pix2pix": {"generator": resnet},
    }


def test_schedule_fills_what_the_file_leaves_out_and_nothing_else():
    paper = build(SinGANConfig, {"schedule": "paper", "iterations": 7}, "harmoniser")
    assert (paper.iterations, paper.discriminator_steps, paper.max_width) == (7, 3, 128)
    assert build(SinGANConfig, {"iterations": 7}, "harmoniser") == SinGANConfig(iterations=7)
    with pytest.raises(ValueError, match=r"one of \('fast', 'paper'\), got 'quick'"):
        build(SinGANConfig, {"schedule": "quick"}, "harmoniser")


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"discriminator_steps": 0}, "discriminator_steps must be at least 1, got 0"),
        ({"width": 32, "max_width": 16}, "at least width, 32, got 16"),
    ],
)
def test_singan_that_cannot_be_trained_is_refused(values, cause):
    with pytest.raises(ValueError, match=cause):
        build(SinGANConfig, values, "harmoniser")


def test_several_reference_slices_are_chosen_at_random_alone():
    with pytest.raises(ValueError, match="1 where a case is named"):
        build(ReferenceConfig, {"count": 2, "case": "a"}, "reference")


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("singan:\n  schedule: paper\n", r"'singan' is no longer read; write the sections 'reference' .*'harmoniser'"),
        ("blend:\n  rounds: 1\n", "'blend' is no longer read; write 'augment'"),
        ("transfer:\n  injection_scale: 3\n", "'transfer.injection_scale' is no longer read; write 'transfer.level'"),
        ("augment:\n  injection_scale: 3\n", "write 'augment.level'"),
        ("augment:\n  cochlea_injection_scale: 3\n", "write 'augment.cochlea_level'"),
        ("harmoniser:\n  crop_px: 64\n", "'harmoniser.crop_px' is no longer read; write 'reference.crop_px'"),
        ("reference:\n  references: 2\n", "write 'reference.count'"),
    ],
)
def test_key_of_an_earlier_version_is_told_its_new_place(tmp_path, text, instead):
    with pytest.raises(InputError, match=instead):
        read_config(write(tmp_path, MINIMAL + text))


def test_images_are_mirrored_along_the_axes_that_the_networks_patches_have():
    assert SegmenterConfig(configuration="2d").mirror_axes(True) == (0, 1)
    assert SegmenterConfig(configuration="3d_fullres").mirror_axes(True) == (0, 1, 2)
    assert SegmenterConfig().mirror_axes(False) == ()


def test_kind_decides_the_settings_of_the_harmoniser(tmp_path):
    small = MINIMAL + "pix2pix: {generator: {architecture: resnet}}\n"
    config = read_config(write(tmp_path, small + "harmoniser: {kind: singan, width: 8}\n"))
    assert config.harmoniser == SinGANConfig(width=8)
    config = read_config(write(tmp_path, small + "harmoniser: {kind: gpnn, completeness: null}\n"))
    assert config.harmoniser == GPNNConfig(completeness=None)
    with pytest.raises(InputError, match=r"harmoniser\.kind must be one of .*, got 'singam'; did you mean 'singan'"):
        read_config(write(tmp_path, MINIMAL + "harmoniser:\n  kind: singam\n"))


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (("baseline", "oneshot"), "oneshot"),
        (("baseline", "blending"), "blending"),
        (("baseline", "oneshot", "supervised"), "oneshot"),
        (("supervised",), "supervised"),
    ],
)
def test_last_arm_but_the_upper_bound_predicts_where_none_is_named(arms, expected):
    assert default_of(arms) == expected


def test_default_arm_must_be_one_of_the_arms(config):
    assert replace(config, default_arm="baseline").default_arm == "baseline"
    with pytest.raises(ValueError, match=r"default_arm must be one of arms.*got 'blending'"):
        replace(config, default_arm="blending")
    with pytest.raises(ValueError, match="at least one"):
        replace(config, arms=())


@pytest.mark.parametrize("year", [2022, 2023])
def test_configurations_of_later_years_predict_by_the_best_arm_beside_the_successor(repository, year):
    config = read_config(repository / "configs" / f"crossmoda{year}.yaml")
    assert config.edition == year
    assert config.arms[-2:] == ("blending", "direct")
    assert config.default_arm == default_of(config.arms) == "direct"
    # Both go on with their own masks of real T2, and one alone varies contrast.
    assert set(config.self_training.stages) == {"self_training", "direct_segmenter"}
    assert config.local_contrast.stages == ("direct_segmenter",)
    assert config.augment.cochlea_factors == (2.0, 3.0, 4.0)
    assert config.segmenter.held_back >= config.postprocessing.min_cases


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("edition: 2021\n", r"config\.yaml: line 4: key 'edition' stands twice, first in line 3; write it once"),
        ("cyclegan:\n  iterations: 3\n  align: false\n  iterations: 4\n", "line 7: key 'iterations' stands twice"),
        ("cyclegan: {iterations: 3}\npix2pix: {}\ncyclegan: {align: false}\n", "line 6: key 'cyclegan' .* in line 4"),
        ("seed: " + "[" * 30 + "]" * 30 + "\n", "line 4: more than 20 mappings and lists within each other"),
        ("seed: " + "[" * 100_000, "line 4: more than 20 mappings and lists within each other"),
        ("seed: &a [*a]\n", "line 4: holds an alias of itself"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + BOMB, "stands for more than 100000 values"),
        ("# " + "x" * 1_000_000, "more than 1000000 bytes"),
        (
            f"cyclegan:\n  learning_rate: 1{'0' * 400}\n",
            "cyclegan.learning_rate must be a finite number, got one of 1329",
        ),
        ("cyclegan:\n  learning_rate: .nan\n", "cyclegan.learning_rate must be a finite number, got nan"),
        ("cyclegan:\n  learning_rate: -1\n", "learning_rate must not be negative, got -1.0"),
    ],
)
def test_file_that_would_not_mean_what_it_seems_to_is_refused(tmp_path, text, cause):
    with pytest.raises(InputError, match=cause):
        read_config(write(tmp_path, MINIMAL + text))


@pytest.mark.parametrize(
    ("encoding", "cause"),
    [
        ("latin-1", "line 4: byte 0xfc is not UTF-8; save the file as UTF-8"),
        ("utf-16", "is in UTF-16; save it as UTF-8"),
    ],
)
def test_file_in_another_encoding_is_refused_with_what_to_do(tmp_path, encoding, cause):
    path = tmp_path / "config.yaml"
    path.write_bytes((MINIMAL + "# für uns\n").encode(encoding))
    with pytest.raises(InputError, match=rf"config\.yaml: {cause}"):
        read_config(path)


def test_windows_mark_aliases_merges_and_short_exponents_are_read(tmp_path):
    path = tmp_path / "config.yaml"
    cyclegan = "cyclegan: {learning_rate: 1e-4, sampling: &s {batch_size: 2}}\n"
    pix2pix = "pix2pix: {generator: {architecture: resnet}, sampling: {<<: *s, flip: false}}\n"
    path.write_bytes((MINIMAL + cyclegan + pix2pix).encode("utf-8-sig"))
    config = read_config(path)
    assert config.cyclegan.learning_rate == 0.0001
    assert config.pix2pix.sampling == SamplingConfig(batch_size=2, flip=False)
