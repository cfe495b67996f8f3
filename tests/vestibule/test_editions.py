"""Names of files and meanings of labels, edition by edition."""

from dataclasses import replace
from pathlib import Path

import pytest

from vestibule.editions import (
    EDITIONS,
    case_of_image,
    edition_of,
    get_edition,
    image_stem,
    is_named_as_other,
    label_case,
    target_case,
)


@pytest.mark.parametrize(
    ("year", "case", "image", "prediction"),
    [
        (2021, "crossmoda_107", "crossmoda_107_hrT2.nii.gz", "crossmoda_107_Label.nii.gz"),
        (2021, "crossmoda2021_ldn_107", "crossmoda2021_ldn_107_hrT2.nii.gz", "crossmoda2021_ldn_107_Label.nii.gz"),
        (2022, "crossmoda2022_etz_3", "crossmoda2022_etz_3_hrT2.nii.gz", "crossmoda2022_etz_3_Label.nii.gz"),
        (2023, "crossmoda2023_ukm_9", "crossmoda2023_ukm_9_T2.nii.gz", "crossmoda2023_ukm_9.nii.gz"),
    ],
)
def test_mask_is_called_as_the_edition_expects(year, case, image, prediction):
    edition = get_edition(year)
    assert edition.target_name(case) == image
    assert target_case(Path(image)) == case
    assert edition.prediction_name(case) == prediction
    assert label_case(Path(prediction), edition) == case


def test_labels_of_each_edition():
    assert EDITIONS[2021].labels == EDITIONS[2022].labels == (0, 1, 2)
    assert EDITIONS[2023].labels == (0, 1, 2, 3)
    assert EDITIONS[2023].structures == {"vs": (1, 2), "cochlea": (3,)}


@pytest.mark.parametrize(
    ("cases", "year"),
    [
        (["crossmoda_107"], 2021),
        (["crossmoda2021_ldn_1"], 2021),
        (["crossmoda2021_ldn_1", "crossmoda2022_etz_1"], 2022),
        # London's cases have the year 2021 in every edition but 2023; a phantom of 2022 has its own.
        (["crossmoda2022_ldn_1", "crossmoda2022_etz_2"], 2022),
        (["crossmoda2023_ukm_1"], 2023),
        (["crossmoda2022_etz_1", "crossmoda2023_etz_1"], None),
        (["crossmoda2022_ukm_1"], None),
        (["patient"], None),
        ([], None),
    ],
)
def test_names_of_cases_and_of_phantoms_tell_the_edition(cases, year):
    edition = edition_of(cases)
    assert (edition.year if edition else None) == year


def test_endings_of_a_new_edition_are_known_by_its_entry(monkeypatch):
    edition = replace(get_edition(2022), year=2027, target_suffix="SPACE", source_suffix="Gd", label_suffix="Truth")
    edition = replace(edition, prediction_suffix="Seg")
    image, source, label = Path("a_SPACE.nii.gz"), Path("a_Gd.nii.gz"), Path("a_Truth.nii.gz")
    assert target_case(image) is None
    monkeypatch.setitem(EDITIONS, 2027, edition)
    assert target_case(image) == "a"
    assert case_of_image(image) == ("a", "T2")
    assert case_of_image(source) == ("a", "T1")
    assert [is_named_as_other(path) for path in (image, source, label)] == [False, True, True]
    assert label_case(label, edition) == label_case(Path("a_Seg.nii.gz"), edition) == "a"
    assert label_case(source, edition) is None


@pytest.mark.parametrize("year", [2020, "next", None])
def test_unknown_edition_is_refused(year):
    with pytest.raises(ValueError, match=r"edition must be one of \[2021, 2022, 2023\], got"):
        get_edition(year)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("p01s1_T2W.nii.gz", "p01s1"),
        ("sub-01_T2w.nii.gz", "sub-01"),
        ("TCGA-DU-7294_t2.nii.gz", "TCGA-DU-7294"),
        ("case.7-hrT2.mha", "case.7"),
        ("a_T2_TSE.nii", "a"),
        ("a_T2_CISS.nii", "a"),
        ("patient2.nii.gz", None),
        ("patient12.nii.gz", None),
        ("T2.nii.gz", None),
        ("_T2.nii.gz", None),
        ("a_T2.txt", None),
        ("a_T1.nii.gz", None),
    ],
)
def test_t2_is_told_by_the_end_of_its_name(name, case):
    assert target_case(Path(name)) == case


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a_ceT1.nii.gz", True),
        ("p01s1_T1W.nii.gz", True),
        ("TCGA_t1c.nii.gz", True),
        ("BraTS-t1n.mha", True),
        ("a_Label.nii.gz", True),
        ("a_seg.nii", True),
        ("mask.nii.gz", True),
        ("patient1.nii.gz", False),
        ("subject1.mha", False),
        ("a_hrT2.nii.gz", False),
        ("unmask.nii.gz", False),
        ("notes.txt", False),
    ],
)
def test_t1_and_labels_are_told_by_the_end_of_their_names(name, other):
    assert is_named_as_other(Path(name)) is other


def test_case_of_a_mask_is_told_without_an_edition():
    names = ("crossmoda2021_ldn_1_Label.nii.gz", "crossmoda2023_ukm_9.nii.gz", "a_hrT2.nii.gz")
    assert [label_case(Path(name)) for name in names] == ["crossmoda2021_ldn_1", "crossmoda2023_ukm_9", None]


def test_label_names_of_images_are_no_case():
    assert label_case(Path("a_hrT2.nii.gz"), EDITIONS[2022]) is None
    assert label_case(Path("a_ceT1.nii.gz"), EDITIONS[2022]) is None
    assert label_case(Path("a.csv"), EDITIONS[2022]) is None


def test_longest_image_ending_is_dropped():
    assert [image_stem(Path(name)) for name in ("a.nii.gz", "a.nii", "a.b.mha", "a.gz")] == ["a", "a", "a.b", None]


def test_generated_cases_are_named_by_year_site_and_number():
    assert EDITIONS[2022].case_name("etz", 4) == "crossmoda2022_etz_4"


@pytest.mark.parametrize(
    ("volume_mm3", "expected"),
    [(0.0, "no tumour"), (287.9, "small"), (288.0, "medium"), (2340.0, "medium"), (2340.1, "large")],
)
def test_size_classes_are_the_published_ones(volume_mm3, expected):
    assert get_edition(2022).size_class(volume_mm3) == expected
