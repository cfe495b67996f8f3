import csv
import json
import re

import pytest

from vestibule.bids import name_of, names_of
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.formats import check_names, write_formats, write_once
from vestibule.inputs import Case

ENTITIES = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?(_run-[0-9]+)?_desc-vestibule_dseg")


def case(folder, name):
    """A case whose mask is there; what is in it does not matter here."""
    mask = folder / f"{name}_Label.nii.gz"
    mask.write_bytes(b"a mask")
    return Case(name, folder / "images" / f"{name}_hrT2.nii.gz", mask)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("crossmoda2021_ldn_1", "sub-crossmoda2021ldn1"),
        ("p 1_20200102", "sub-p1_ses-20200102"),
        ("p1_2020-01-02", "sub-p1_ses-20200102"),
        # No such day.
        ("p1_20201502", "sub-p120201502"),
        ("sub-02_ses-a_run-1", "sub-02_ses-a_run-1"),
        ("sub-02_task-rest", "sub-sub02taskrest"),
    ],
)
def test_cases_get_names_that_bids_allows(name, stem):
    found = name_of(name).stem
    assert found == f"{stem}_desc-vestibule_dseg"
    assert ENTITIES.fullmatch(found)


def test_cases_that_would_be_called_alike_are_refused_before_any_is_segmented(tmp_path):
    cases = [case(tmp_path, "a_1"), case(tmp_path, "a1")]
    with pytest.raises(InputError, match="--write bids: a_1 and a1 would both be sub-a1_desc-vestibule_dseg; rename"):
        check_names(("bids",), cases)
    check_names(("nrrd",), cases)


def test_a_case_without_a_letter_is_refused():
    with pytest.raises(InputError, match=r"case '_\.' has no letter and no digit"):
        names_of(["_."])


@pytest.mark.parametrize("year", [2021, 2023])
def test_a_derivative_has_each_mask_with_the_names_of_its_labels(tmp_path, year):
    edition = get_edition(year)
    masks = [case(tmp_path, "p_20200102"), case(tmp_path, "p_20210102")]
    write_once(tmp_path, ("bids",), edition)
    for one in masks:
        write_formats(one, ("bids",), edition)

    root = tmp_path / "bids"
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert "not for clinical use" in (root / "README").read_text()
    folders = [root / "sub-p" / f"ses-{day}" / "anat" for day in ("20200102", "20210102")]
    for folder, one in zip(folders, masks, strict=True):
        (mask,) = folder.glob("*_dseg.nii.gz")
        assert mask.read_bytes() == one.mask_path.read_bytes()
        stem = mask.name.removesuffix(".nii.gz")
        sidecar = json.loads((folder / f"{stem}.json").read_text())
        assert sidecar["SpatialReference"] == one.image_path.name
        with (folder / f"{stem}.tsv").open(newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        assert [int(row["index"]) for row in rows] == sorted(set(edition.labels) - {0})
        assert all(re.fullmatch("#[0-9a-f]{6}", row["color"]) for row in rows)
    # One folder a session, and nothing beside.
    assert len(list(root.rglob("*_dseg.*"))) == 6
