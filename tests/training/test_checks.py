"""What a stage will refuse is refused before the first stage starts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from training.arms import ARMS
from training.config import ReferenceConfig, RunConfig, SegmenterConfig, build, read_config
from training.data.raw_cases import KnownCases, RawCase
from training.phantom.config import PhantomConfig
from training.runner import check_run, run_stages
from training.stage_table import PREPARE
from training.stages import prepare, segmenter, self_training
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.volume import Geometry, Volume, write_volume

EDITION = get_edition(2021)
GEOMETRY = Geometry((6, 40, 40), (1.5, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
ALL = SegmenterConfig(folds=())


@pytest.fixture
def run_dir(tmp_path):
    """A run on data from outside: four labelled T1 cases, four T2 cases of which the last is labelled in slice 2."""
    image = Volume(np.random.default_rng(0).random(GEOMETRY.size_zyx, np.float32), GEOMETRY)
    labels = np.zeros(GEOMETRY.size_zyx, np.uint8)
    labels[2, 10:20, 10:20] = 1
    data = tmp_path / "data"
    for number in range(4):
        name = EDITION.case_name("ldn", number)
        write_volume(data / EDITION.source_folder / EDITION.source_name(name), image)
        write_volume(data / EDITION.source_folder / EDITION.label_name(name), Volume(labels, GEOMETRY))
        write_volume(data / EDITION.target_folder / EDITION.target_name(name), image)
    references = EDITION.references_of(data, EDITION.target_folder)
    write_volume(references / EDITION.label_name(name), Volume(labels, GEOMETRY))
    write_json(tmp_path / "run" / "data.json", {"data": str(data)})
    return tmp_path / "run"


@pytest.fixture
def config(config):
    return replace(config, edition=2021, segmenter=ALL)


def test_run_whose_parts_go_together_is_let_through_and_nothing_is_made(config, run_dir):
    before = sorted(run_dir.rglob("*"))
    check_run(config, run_dir)
    check_run(replace(config, arms=tuple(ARMS)[:1]), run_dir)
    assert sorted(run_dir.rglob("*")) == before


def test_folds_of_fewer_cases_than_folds_are_refused_and_nothing_is_made(config, run_dir):
    folds = replace(config, segmenter=SegmenterConfig())
    with pytest.raises(InputError, match=r"makes 5 folds .* there are 4 labelled T1 cases; set segmenter\.folds: \[\]"):
        run_stages(folds, run_dir)
    assert not PREPARE.folder(run_dir).exists()


@pytest.mark.parametrize("arm", ["baseline", "direct"])
def test_as_many_held_back_cases_as_there_are_labelled_ones_are_refused(config, run_dir, arm):
    held = replace(config, arms=(arm,), segmenter=replace(ALL, held_back=4))
    with pytest.raises(InputError, match=r"segmenter\.held_back is 4, and there are 4 labelled cases; lower it"):
        run_stages(held, run_dir)
    assert not PREPARE.folder(run_dir).exists()
    check_run(replace(held, segmenter=replace(ALL, held_back=3)), run_dir)


def test_shipped_configuration_is_refused_on_the_four_cases_of_a_rehearsal(repository, run_dir):
    config = read_config(repository / "configs" / "crossmoda2021.yaml")
    with pytest.raises(InputError, match=r"segmenter\.folds \[0, 1, 2, 3, 4\]: nnU-Net makes 5 folds"):
        check_run(config, run_dir)


@pytest.mark.parametrize(
    ("sources", "targets", "last_on_target", "cause"),
    [
        (4, 5, True, "4 labelled T1 cases"),
        (5, 4, True, "4 T2 cases"),
        (5, 4, False, None),
        (5, 5, True, None),
    ],
)
def test_self_training_needs_enough_cases_for_its_folds_in_every_round(
    config, tmp_path, sources, targets, last_on_target, cause
):
    cases = [RawCase(f"t1_{number}", "source", tmp_path, tmp_path) for number in range(sources)]
    cases += [RawCase(f"t2_{number}", "target", tmp_path, None) for number in range(targets)]
    known = KnownCases(tmp_path, tuple(cases))
    folds = replace(config, augment=replace(config.augment, last_on_target=last_on_target), segmenter=SegmenterConfig())
    if cause is None:
        self_training.check(folds, known)
        return
    with pytest.raises(InputError, match=cause):
        self_training.check(folds, known)


def test_upper_bound_needs_every_t2_labelled(config, run_dir):
    with pytest.raises(InputError, match=r"crossmoda2021_ldn_0: has no reference; the arm 'supervised' needs every"):
        check_run(replace(config, arms=("supervised",)), run_dir)


@pytest.mark.parametrize(
    ("reference", "cause"),
    [
        ({"case": "crossmoda2021_ldn_33", "slice": 2}, r"no T2 training case; did you mean 'crossmoda2021_ldn_3'"),
        ({"case": "nobody", "slice": 2}, "no T2 training case; the first ones are crossmoda2021_ldn_0"),
        ({"case": "crossmoda2021_ldn_3", "slice": 6}, r"reference\.slice must be from 0 to 5 .* got 6"),
        ({"case": "crossmoda2021_ldn_3"}, r"reference\.slice must be from 0 to 5 .* got None"),
        ({"count": 2}, r"reference\.count asks for 2 cases; 1 labelled T2 training images show a tumour"),
    ],
)
def test_reference_slice_that_there_is_not_is_refused(config, run_dir, reference, cause):
    with pytest.raises(InputError, match=cause):
        check_run(replace(config, reference=ReferenceConfig(**reference)), run_dir)


def test_t2_without_any_label_needs_a_named_reference(config, run_dir):
    references = EDITION.references_of(run_dir.parent / "data", EDITION.target_folder)
    for path in references.iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no labelled T2 .* set reference\.case and reference\.slice"):
        check_run(config, run_dir)
    named = ReferenceConfig(case="crossmoda2021_ldn_3", slice=2)
    check_run(replace(config, reference=named, transfer=replace(config.transfer, intensity="none")), run_dir)


def test_constant_reference_slice_is_refused(config, run_dir):
    path = run_dir.parent / "data" / EDITION.target_folder / EDITION.target_name("crossmoda2021_ldn_3")
    voxels = np.random.default_rng(0).random(GEOMETRY.size_zyx, np.float32)
    voxels[2] = 0.5
    write_volume(path, Volume(voxels, GEOMETRY))
    with pytest.raises(InputError, match="crossmoda2021_ldn_3: slice 2 is constant; choose another"):
        check_run(replace(config, reference=ReferenceConfig(case="crossmoda2021_ldn_3", slice=2)), run_dir)


def test_label_without_a_tumour_gives_no_reference(config, run_dir):
    references = EDITION.references_of(run_dir.parent / "data", EDITION.target_folder)
    empty = Volume(np.zeros(GEOMETRY.size_zyx, np.uint8), GEOMETRY)
    write_volume(references / EDITION.label_name("crossmoda2021_ldn_3"), empty)
    with pytest.raises(InputError, match=r"asks for 1 cases; 0 labelled T2 training images show a tumour"):
        check_run(config, run_dir)


@pytest.mark.parametrize(("case", "index"), [("crossmoda2021_ldn_3", 4), ("crossmoda2021_ldn_0", 2)])
def test_rule_of_the_reference_needs_its_tumour_outlined(config, run_dir, case, index):
    named = replace(config, reference=ReferenceConfig(case=case, slice=index, crop_px=24))
    with pytest.raises(InputError, match=rf"'reference' needs a labelled tumour .*{case}, slice {index}"):
        check_run(named, run_dir)
    check_run(replace(named, reference=replace(named.reference, case="crossmoda2021_ldn_3", slice=2)), run_dir)


@pytest.mark.parametrize(("crop_px", "levels"), [(24, 3), (None, 4)])
def test_level_that_the_harmoniser_will_not_have_is_refused(config, run_dir, crop_px, levels):
    # From 12 px by 1 / 0.75: to 24 px in ceil(2.41) = 3 steps, to 32 px in ceil(3.41) = 4.
    sized = replace(config, reference=replace(config.reference, crop_px=crop_px))
    check_run(replace(sized, transfer=replace(config.transfer, level=levels)), run_dir)
    for level in (0, levels + 1):
        with pytest.raises(InputError, match=rf"transfer\.level must be from 1 to {levels}.*got {level}"):
            check_run(replace(sized, transfer=replace(config.transfer, level=level)), run_dir)
    cochlea = replace(config.augment, level=1, cochlea_level=levels + 1, cochlea_factors=(2.0,))
    successor = replace(sized, arms=("blending",), augment=cochlea)
    with pytest.raises(InputError, match=rf"augment\.cochlea_level must be from 1 to {levels}"):
        check_run(successor, run_dir)
    # A level at which nothing enters is not asked for.
    check_run(replace(successor, augment=replace(cochlea, cochlea_factors=())), run_dir)


def test_slice_smaller_than_what_the_harmoniser_sees_is_refused(config, run_dir):
    tiny = replace(config, reference=replace(config.reference, crop_px=6))
    with pytest.raises(InputError, match="at least 7 px a side"):
        check_run(tiny, run_dir)


def test_structure_that_the_edition_does_not_have_is_refused(config, run_dir):
    other = replace(config, transfer=replace(config.transfer, structures=("vs", "chiasm")))
    with pytest.raises(InputError, match=r"transfer\.structures.*edition 2021 has .*vs, cochlea.*'chiasm'"):
        check_run(other, run_dir)


def test_several_faults_are_told_at_once(config, run_dir):
    wrong = replace(config, segmenter=SegmenterConfig(), transfer=replace(config.transfer, structures=("chiasm",)))
    with pytest.raises(InputError) as caught:
        check_run(wrong, run_dir)
    for words in ("segmenter.folds", "transfer.structures"):
        assert words in str(caught.value)


def test_disk_without_room_for_the_prepared_volumes_is_refused(config, run_dir, monkeypatch):
    # 8 images of 6 x 32 x 32 float16, 5 labels of uint8: 8 * 12288 + 5 * 6144 bytes.
    needed = 8 * 12288 + 5 * 6144
    for free, refused in ((needed - 1, True), (needed, False)):
        monkeypatch.setattr(prepare.shutil, "disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        if refused:
            with pytest.raises(InputError, match=r"8 prepared cases take 0\.0 GB, and the disk has 0\.0 GB free"):
                check_run(config, run_dir)
        else:
            check_run(config, run_dir)


def test_gpu_smaller_than_what_the_plan_is_for_is_refused(config, monkeypatch, tmp_path):
    monkeypatch.setattr(segmenter, "pick_device", lambda: SimpleNamespace(type="cuda"))
    memory = SimpleNamespace(total_memory=6e9)
    monkeypatch.setattr(segmenter.torch.cuda, "get_device_properties", lambda device: memory)
    known = KnownCases(tmp_path, (RawCase("a", "source", tmp_path / "a", None),))
    with pytest.raises(InputError, match=r"gpu_memory_gb is 8, and the GPU has 6\.0 GB"):
        segmenter.check(config, known)
    segmenter.check(replace(config, segmenter=replace(ALL, gpu_memory_gb=6.0)), known)


def test_phantoms_are_known_before_they_are_made(config, tmp_path):
    own = replace(config, phantom=PhantomConfig(cases=4, validation=1))
    check_run(own, tmp_path)
    with pytest.raises(InputError, match="makes 5 folds of its cases, and there are 4 labelled T1"):
        check_run(replace(own, segmenter=SegmenterConfig()), tmp_path)
    named = replace(own, reference=ReferenceConfig(case="crossmoda2021_ldn_55", slice=3))
    with pytest.raises(InputError, match="did you mean 'crossmoda2021_ldn_5'"):
        check_run(named, tmp_path)
    sized = replace(named, phantom=replace(own.phantom, shape_zyx=(12, 72, 72)))
    for index, refused in ((11, False), (12, True)):
        there = replace(sized, reference=ReferenceConfig(case="crossmoda2021_ldn_5", slice=index))
        if refused:
            with pytest.raises(
                InputError, match=r"reference\.slice must be from 0 to 11 for crossmoda2021_ldn_5, got 12"
            ):
                check_run(there, tmp_path)
        else:
            check_run(there, tmp_path)


def test_run_without_data_says_how_to_name_it(config, tmp_path):
    with pytest.raises(InputError, match="pass --data FOLDER"):
        run_stages(config, tmp_path)
    with pytest.raises(InputError, match="no such folder; --data names"):
        run_stages(config, tmp_path, tmp_path / "absent")


@pytest.mark.parametrize(
    ("section", "values", "cause"),
    [
        ("segmenter", {"configuration": "3d_lowres"}, "configuration must be one of"),
        ("segmenter", {"folds": [0, 5]}, "different ones from 0 to 4, got \\[0, 5\\]"),
        ("segmenter", {"folds": [1, 1]}, "different ones"),
        ("segmenter", {"epochs": 0}, "epochs must be at least 1"),
        ("segmenter", {"tile_step": 0.05}, "tile_step must be from 0.1 to 1, got 0.05"),
        ("cyclegan", {"checkpoint_every": 0}, "checkpoint_every must be at least 1"),
        ("cyclegan", {"decay_from": 1.5}, "decay_from must be from 0 to 1"),
        ("cyclegan", {"average": 1}, "average must be at least 0 and below 1"),
        ("pix2pix", {"tumour_share": 2}, "tumour_share must be from 0 to 1"),
        ("cyclegan", {"discriminator_layers": 6}, r"cyclegan\.discriminator_layers 6 needs at least 192 pixels"),
        ("cyclegan", {"discriminator_layers": 3_000_000_000}, "needs at least 3145728 pixels"),
        ("augment", {"rounds": -1}, "rounds must not be negative, got -1"),
        ("augment", {"large_factors": [1.5, 0]}, r"large_factors must be above 0, got \[1.5, 0.0\]"),
        ("precision", "bf17", "precision must be one of .*, got 'bf17'"),
        ("harmoniser", {"scale_factor": 1}, "scale_factor must be between 0 and 1"),
        ("harmoniser", {"coarsest_px": 9}, "coarsest_px must be at least 11"),
        ("harmoniser", {"iterations": 0}, "iterations must be at least 1"),
        ("harmoniser", {"kind": "gpnn", "patch_px": 6}, "patch_px must be odd, got 6"),
        ("harmoniser", {"kind": "gpnn", "coarsest_px": 6}, "coarsest_px must be at least patch_px, 7, got 6"),
        ("harmoniser", {"kind": "gpnn", "completeness": 0}, "completeness must be above 0"),
        ("harmoniser", {"kind": "gpdm", "patch_px": 6}, "patch_px must be odd, got 6"),
        ("harmoniser", {"kind": "gpdm", "coarsest_px": 6}, "coarsest_px must be at least patch_px, 7, got 6"),
        ("harmoniser", {"kind": "gpdm", "learning_rate": 0}, "learning_rate must be above 0"),
        ("harmoniser", {"kind": "gpdm", "steps": 0}, "steps must be at least 1"),
        ("harmoniser", {"kind": "patch_diffusion", "sigmas": []}, "sigmas must name at least one"),
        ("harmoniser", {"kind": "patch_diffusion", "sigmas": [1, 0]}, "sigmas must be above 0, got 0"),
        ("harmoniser", {"kind": "patch_diffusion", "sigmas": [1, 2]}, "sigmas must fall, got 2.0 behind 1.0"),
    ],
)
def test_value_that_a_stage_would_end_on_is_refused_by_the_configuration(section, values, cause):
    small = {"generator": {"architecture": "resnet"}}
    whole = {"name": "x", "intended_use": "phantom", "edition": 2022, "pix2pix": small}
    whole[section] = {**whole.get(section, {}), **values} if isinstance(values, dict) else values
    with pytest.raises(ValueError, match=cause):
        build(RunConfig, whole, "")
