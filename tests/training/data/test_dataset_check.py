"""What is told of a download before it is used, on images of a few voxels."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.challenge_rules import audit
from training.data.dataset_check import check_files, swap_warning, table
from training.data.raw_cases import RawCase
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig, mask_to_working, to_working
from vestibule.volume import Geometry, Volume, read_labels, read_volume, reorient, write_volume

IDENTITY = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
SAGITTAL = (0, 0, 1.0, 1.0, 0, 0, 0, 1.0, 0)
EDITION = get_edition(2023)


def label_voxels(inner=2, outer=1):
    """A tumour of two parts between a cochlea at the side and the middle, and the other cochlea, (Z, Y, X)."""
    voxels = np.zeros((12, 10, 24), np.float32)
    voxels[5, 4, 2] = voxels[5, 4, 21] = 3
    voxels[4:7, 4:6, 4:7] = inner
    voxels[4:7, 4:6, 7:11] = outer
    return voxels


@pytest.fixture
def make_case(tmp_path):
    def make(name, voxels, direction=IDENTITY, domain="source"):
        geometry = Geometry(voxels.shape, (1.5, 0.5, 0.5), (3.0, 4.0, 5.0), direction)
        case = RawCase(name, domain, tmp_path / f"{name}_ceT1.nii.gz", tmp_path / f"{name}_Label.nii.gz")
        write_volume(case.image, Volume(np.random.default_rng(0).random(voxels.shape, np.float32), geometry))
        write_volume(case.label, Volume(voxels, geometry))
        return case

    return make


def test_sites_spacings_volumes_and_oddities_are_told(make_case):
    fractions = label_voxels() * np.float32(0.9999999)
    cases = [
        make_case("crossmoda2023_ldn_1", label_voxels()),
        make_case("crossmoda2023_etz_2", fractions),
        make_case("crossmoda2023_etz_3", label_voxels(), SAGITTAL),
    ]
    facts = check_files(cases, EDITION)
    assert facts[0].volumes_mm3["vs"] == pytest.approx(42 * 0.375)
    assert (facts[0].oddities, facts[2].size_zyx, facts[2].spacing_zyx) == ((), (10, 24, 12), (0.5, 0.5, 1.5))
    told = table(facts)
    assert "1 x label stored as fractions, rounded (as crossmoda2023_etz_2)" in told
    assert "1 x slices not axial in the file (as crossmoda2023_etz_3)" in told
    assert swap_warning(facts, EDITION) is None


def test_oblique_image_tells_its_angle(make_case):
    c, s = np.cos(np.radians(7)), np.sin(np.radians(7))
    (fact,) = check_files([make_case("crossmoda2023_ldn_1", label_voxels(), (c, -s, 0, s, c, 0, 0, 0, 1.0))], EDITION)
    assert fact.turned_deg == pytest.approx(7, abs=0.1)


def test_label_stored_in_another_direction_than_its_image_is_in_the_same_place(make_case):
    case, turned = (make_case(f"crossmoda2023_ldn_{number}", label_voxels()) for number in (1, 2))
    label = reorient(read_volume(turned.label), "ASR")
    assert label.voxels.shape != label_voxels().shape
    write_volume(turned.label, label)
    facts = check_files([case, turned], EDITION)
    assert facts[0].volumes_mm3 == facts[1].volumes_mm3
    working = to_working(read_volume(case.image), PreprocessingConfig((0.5, 0.5), (8, 24), centre="bright"))
    wanted, found = (mask_to_working(read_labels(each.label), working.geometry) for each in (case, turned))
    assert wanted.any()
    np.testing.assert_array_equal(found, wanted)


def test_every_faulty_file_is_named_at_once(make_case):
    between, foreign = label_voxels(), label_voxels()
    between[0, 0, 0], foreign[0, 0, 0] = 0.5, 7
    truncated = make_case("crossmoda2023_ldn_3", label_voxels())
    truncated.image.write_bytes(truncated.image.read_bytes()[:-200])
    cases = [make_case("crossmoda2023_ldn_1", between), make_case("crossmoda2023_ldn_2", foreign), truncated]
    with pytest.raises(InputError) as caught:
        check_files(cases, EDITION)
    told = str(caught.value)
    assert told.startswith("3 of 3 cases cannot be used")
    for words in ("ldn_1_Label.nii.gz: holds values between", "holds the label 7", "ldn_3_ceT1.nii.gz: damaged"):
        assert words in told


def test_exchanged_tumour_parts_are_warned_of(make_case):
    cases = [make_case(f"crossmoda2023_ldn_{k}", label_voxels(inner=1, outer=2)) for k in range(2)]
    warning = swap_warning(check_files(cases, EDITION), EDITION)
    assert "in 2 of 2 cases 2" in warning
    assert "--intrameatal 1" in warning
    assert swap_warning(check_files(cases, EDITION.with_intrameatal(1)), EDITION.with_intrameatal(1)) is None


@pytest.mark.parametrize(
    ("year", "name", "offered"),
    [
        (2021, "crossmoda_17", True),
        (2021, "crossmoda2021_ldn_17", True),
        (2021, "crossmoda2022_etz_17", False),
        (2022, "crossmoda2022_etz_17", True),
        (2023, "crossmoda2023_ukm_4", True),
        (2023, "p01s1", False),
    ],
)
def test_edition_knows_its_own_cases_by_name(year, name, offered):
    assert get_edition(year).offers(name) == offered


def test_audit_tells_data_and_annotation_from_outside(tmp_path):
    own = [RawCase("crossmoda2023_ldn_1", "source", tmp_path / "a", tmp_path / "b")]
    clean = audit(own, tmp_path, EDITION)
    assert clean == {"external_data": False, "extra_annotation": False, "pretrained": False, "remarks": []}
    outlined = audit([replace(own[0], domain="target")], tmp_path, EDITION)
    assert (outlined["external_data"], outlined["extra_annotation"]) == (False, True)
    foreign = audit([replace(own[0], name="p01s1")], tmp_path, EDITION)
    assert foreign["external_data"]
    assert "p01s1" in foreign["remarks"][0]
    many = audit(own * 228, tmp_path, EDITION)
    assert many["remarks"] == ["228 source cases, crossMoDA 2023 offers 227"]
    (tmp_path / "population.json").write_text("{}")
    assert audit(own, tmp_path, EDITION)["external_data"]
