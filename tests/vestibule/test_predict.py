"""The loop over cases: whole masks or none, one line for each failure, no case costs another its mask."""

import nibabel
import numpy as np
import pytest

from vestibule.editions import EDITIONS
from vestibule.errors import InputError
from vestibule.inputs import Case, find_cases
from vestibule.predict import edition_for, failure_message, predict_case, predict_cases
from vestibule.volume import Geometry, Volume, read_labels, read_volume, write_volume
from vestibule.weights import Bundle

EDITION = EDITIONS[2022]
OBLIQUE = (0.0, -0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.8, 0.6)


def brightest_half(volume):
    """Stands for a model: marks what is brighter than the median as VS."""
    return volume.with_voxels((volume.voxels > np.median(volume.voxels)).astype(np.uint8))


def scan(seed=0):
    voxels = np.random.default_rng(seed).integers(0, 500, (4, 5, 6)).astype(np.int16)
    return Volume(voxels, Geometry((4, 5, 6), (12.0, 5.0, 4.0), (1.0, -20.5, 7.0), OBLIQUE))


def case_in(folder, name="a", suffix=".nii.gz", mask_suffix=".nii.gz"):
    image_path = folder / "in" / f"{name}_hrT2{suffix}"
    write_volume(image_path, scan())
    return Case(name, image_path, folder / "out" / f"{name}{mask_suffix}")


def test_mask_is_written_on_the_grid_of_its_image(tmp_path):
    case = case_in(tmp_path)
    predict_case(brightest_half, case, EDITION)
    image, mask = read_volume(case.image_path), read_labels(case.mask_path)
    assert mask.geometry == image.geometry
    assert np.array_equal(mask.voxels, brightest_half(image).voxels)


def test_mask_agrees_with_an_image_that_contradicts_itself(tmp_path):
    case = case_in(tmp_path)
    image = nibabel.load(case.image_path)
    shifted = image.affine.copy()
    shifted[:3, 3] += 5
    image.set_sform(shifted, 4)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), case.image_path)
    predict_case(brightest_half, case, EDITION)
    mask = nibabel.load(case.mask_path)
    assert np.array_equal(mask.get_sform(), nibabel.load(case.image_path).get_sform())
    assert np.array_equal(mask.get_qform(), nibabel.load(case.image_path).get_qform())
    assert not np.allclose(mask.get_sform(), mask.get_qform())


def test_failing_case_costs_no_other_its_mask(tmp_path):
    cases = [case_in(tmp_path, name) for name in "abc"]
    cases[1].image_path.write_bytes(cases[1].image_path.read_bytes()[:-30])
    seen = []
    outcome = predict_cases(brightest_half, cases, EDITION, lambda *told: seen.append(told))
    assert [case.name for case in outcome.written] == ["a", "c"]
    assert [case.name for case, _ in outcome.failures] == ["b"]
    assert "b_hrT2.nii.gz: damaged or truncated gzip" in outcome.failures[0][1]
    assert [case.name for case, _, _ in seen] == ["a", "b", "c"]
    assert seen[1][1:] == (outcome.failures[0][1], ())
    assert seen[2][1:] == (None, outcome.warnings[1][1])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.nii.gz", "c.nii.gz"]


def test_doubtful_mask_is_written_all_the_same_and_warned_of_by_its_image(tmp_path, caplog):
    case = case_in(tmp_path)
    outcome = predict_cases(brightest_half, [case], EDITION)
    assert np.array_equal(read_labels(case.mask_path).voxels, brightest_half(read_volume(case.image_path)).voxels)
    ((warned, reasons),) = outcome.warnings
    assert warned == case
    assert "the image looks like noise" in reasons[0]
    assert "cochlea: empty" in reasons
    assert caplog.messages == [f"{case.image_path}: its mask may be wrong: {'; '.join(reasons)}"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("holds no head"), "a_hrT2.nii.gz: holds no head"),
        (RuntimeError("kernel\nsize"), "a_hrT2.nii.gz: segmentation failed (RuntimeError: kernel size)"),
        (
            MemoryError("3 GiB"),
            "a_hrT2.nii.gz: segmentation failed (out of memory (3 GiB); "
            "use fewer --workers where there are some, or a machine with more of it)",
        ),
    ],
)
def test_whatever_the_model_raises_is_one_line_with_the_file(tmp_path, error, message):
    def run(volume):
        raise error

    outcome = predict_cases(run, [case_in(tmp_path)], EDITION)
    assert outcome.failures[0][1] == f"{tmp_path / 'in'}/{message}"
    assert not (tmp_path / "out").exists()


def test_interruption_is_no_failure_of_a_case(tmp_path):
    def run(volume):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_cases(run, [case_in(tmp_path)], EDITION)


def test_failed_case_leaves_its_older_mask_and_names_it(tmp_path):
    case = case_in(tmp_path)
    predict_case(brightest_half, case, EDITION)
    before = case.mask_path.read_bytes()
    write_volume(case.image_path, scan().with_voxels(np.zeros((4, 5, 6), np.int16)))
    outcome = predict_cases(brightest_half, [case], EDITION)
    assert "every voxel is 0" in outcome.failures[0][1]
    assert outcome.failures[0][1].endswith(f"; {case.mask_path} is of an earlier run")
    assert case.mask_path.read_bytes() == before


def test_mask_never_replaces_a_file_beside_its_image(tmp_path):
    case = case_in(tmp_path)
    label = tmp_path / "in" / "a_Label.nii.gz"
    label.write_text("by an expert")
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    for mask_path in (label, tmp_path / "alias" / label.name):
        outcome = predict_cases(brightest_half, [Case("a", case.image_path, mask_path)], EDITION)
        assert "its mask would replace a_Label.nii.gz beside it" in outcome.failures[0][1]
    assert label.read_text() == "by an expert"


def test_mask_may_be_written_beside_its_image_where_there_is_none(tmp_path):
    case = case_in(tmp_path)
    selection = find_cases(tmp_path / "in", tmp_path / "in", EDITION)
    outcome = predict_cases(brightest_half, selection.cases, EDITION)
    assert [written.mask_path.name for written in outcome.written] == ["a_Label.nii.gz"]
    assert case.image_path.exists()


def other_grid(volume):
    moved = Geometry(volume.geometry.size_zyx, volume.geometry.spacing_zyx, (0, 0, 0), volume.geometry.direction)
    return Volume(np.zeros(moved.size_zyx, np.uint8), moved)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (other_grid, "no uint8 mask on the image's grid"),
        (lambda volume: volume, "no uint8 mask on the image's grid"),
        (lambda volume: volume.with_voxels(np.full((4, 5, 6), 3, np.uint8)), r"holds labels \[3\], edition 2022 knows"),
    ],
    ids=["moved", "float", "foreign-label"],
)
def test_mask_that_breaks_the_contract_is_not_written(tmp_path, run, message):
    case = case_in(tmp_path)
    with pytest.raises(InputError, match=message):
        predict_case(run, case, EDITION)
    assert not case.mask_path.exists()


def test_last_line_names_the_failure_and_counts():
    assert failure_message(["a: broken"], 1) == "a: broken"
    assert failure_message(["a: broken"], 3) == "1 of 3 images have no mask: a: broken"
    assert failure_message(["a: broken", "b: gone"], 3) == "2 of 3 images have no mask; the first: a: broken"


def test_edition_is_the_bundles_own_unless_named(tmp_path):
    bundle = Bundle(tmp_path, {"edition": 2022})
    assert edition_for(bundle, None).year == 2022
    assert edition_for(bundle, EDITIONS[2021]).year == 2021
    with pytest.raises(InputError, match=r"labels of edition 2022 .* mean something else in edition 2023"):
        edition_for(bundle, EDITIONS[2023])
