"""What is segmented and where its mask goes, under both contracts."""

import json
import os

import pytest

from vestibule.editions import EDITIONS, get_edition
from vestibule.errors import InputError
from vestibule.inputs import find_cases, find_platform_case, is_platform_job, masks_of_others, prepare_output


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("")
    return folder


def masks_of(selection):
    return {case.image_path.name: case.mask_path.name for case in selection.cases}


@pytest.mark.parametrize(
    ("year", "image", "mask"),
    [
        (2021, "crossmoda_1_hrT2.nii.gz", "crossmoda_1_Label.nii.gz"),
        (2022, "crossmoda2022_etz_1_hrT2.nii.gz", "crossmoda2022_etz_1_Label.nii.gz"),
        (2023, "crossmoda2023_ukm_1_T2.nii.gz", "crossmoda2023_ukm_1.nii.gz"),
        (2022, "p01s1_T2W.nii", "p01s1_Label.nii.gz"),
        (2022, "p01s1_T2W.mha", "p01s1_Label.nii.gz"),
    ],
)
def test_t2_images_are_taken_under_their_case_name(tmp_path, year, image, mask):
    put(tmp_path, image)
    assert masks_of(find_cases(tmp_path, tmp_path / "out", EDITIONS[year])) == {image: mask}


def test_other_files_are_passed_over_and_hidden_ones_ignored(tmp_path):
    put(tmp_path, "a_hrT2.nii.gz", "b_hrT2.nii.gz", "a_ceT1.nii.gz", "a_Label.nii.gz", "c.nii.gz", "notes.txt")
    put(tmp_path, "._a_hrT2.nii.gz", ".DS_Store")
    (tmp_path / "more_T2.nii.gz").mkdir()
    selection = find_cases(tmp_path, tmp_path / "out", EDITIONS[2022])
    assert [case.name for case in selection.cases] == ["a", "b"]
    passed_over = sorted(path.name for path in selection.passed_over)
    assert passed_over == ["a_Label.nii.gz", "a_ceT1.nii.gz", "c.nii.gz", "notes.txt"]


def test_where_no_name_says_t2_every_image_is_taken_whole(tmp_path):
    put(tmp_path, "patient1.nii.gz", "patient2.mha", "x_ceT1.nii.gz", "patient1_Label.nii.gz")
    selection = find_cases(tmp_path, tmp_path / "out", EDITIONS[2022])
    assert masks_of(selection) == {
        "patient1.nii.gz": "patient1_Label.nii.gz",
        "patient2.mha": "patient2_Label.nii.gz",
    }
    assert len(selection.passed_over) == 2


def test_single_file_is_taken_alone(tmp_path):
    put(tmp_path, "a_hrT2.nii.gz", "b_hrT2.nii.gz")
    selection = find_cases(tmp_path / "b_hrT2.nii.gz", tmp_path / "out", EDITIONS[2022])
    assert masks_of(selection) == {"b_hrT2.nii.gz": "b_Label.nii.gz"}
    assert selection.passed_over == ()


def test_images_whose_masks_would_share_a_name_are_both_named_and_cost_no_other(tmp_path):
    put(tmp_path, "a_hrT2.nii.gz", "a_hrT2.mha", "b_hrT2.nii.gz")
    selection = find_cases(tmp_path, tmp_path / "out", EDITIONS[2022])
    assert [case.name for case in selection.cases] == ["b"]
    assert len(selection.refused) == 1
    assert all(name in selection.refused[0] for name in ("a_hrT2.nii.gz", "a_hrT2.mha", "a_Label.nii.gz"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "the folder holds no image"),
        (["a_ceT1.nii.gz", "a_Label.nii.gz"], "none of its 2 files is an image to segment"),
        (["notes.txt"], "none of its 1 files is an image"),
    ],
)
def test_folder_with_nothing_to_segment_is_refused(tmp_path, names, message):
    put(tmp_path / "in", *names)
    with pytest.raises(InputError, match=rf"in: {message}"):
        find_cases(tmp_path / "in", tmp_path / "out", EDITIONS[2022])


def test_folder_of_folders_is_refused_and_its_folders_are_named(tmp_path):
    put(tmp_path / "validation", "a_hrT2.nii.gz")
    with pytest.raises(InputError, match=r"holds no image .*; name one of its folders: validation"):
        find_cases(tmp_path, tmp_path / "out", EDITIONS[2022])


@pytest.mark.parametrize("name", ["notes.txt", "a_ceT1.nii.gz", "a_Label.nii.gz"])
def test_single_file_that_is_no_t2_image_is_refused(tmp_path, name):
    put(tmp_path, name)
    with pytest.raises(InputError, match=rf"{name}: not a T2 image by its name"):
        find_cases(tmp_path / name, tmp_path / "out", EDITIONS[2022])


def test_missing_input_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone: no such file or folder"):
        find_cases(tmp_path / "gone", tmp_path / "out", EDITIONS[2022])


def test_output_is_made_with_its_parents(tmp_path):
    prepare_output(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_output_that_is_a_file_or_lies_under_one_is_refused(tmp_path):
    put(tmp_path, "file")
    with pytest.raises(InputError, match="file: is a file; OUTPUT must be a folder"):
        prepare_output(tmp_path / "file")
    with pytest.raises(InputError, match="below: the folder cannot be made"):
        prepare_output(tmp_path / "file" / "below")


def test_platform_job_is_told_from_a_flat_folder(tmp_path):
    assert not is_platform_job(put(tmp_path / "flat", "a_hrT2.nii.gz"))
    assert is_platform_job(put(tmp_path / "job" / "images" / "t2").parents[1])
    assert is_platform_job(put(tmp_path / "listed", "inputs.json"))
    assert not is_platform_job(tmp_path / "gone")


def write_listing(folder, items):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inputs.json").write_text(items if isinstance(items, str) else json.dumps(items))


def image_item(key, slug="t2-mri", relative_path="images/t2-mri"):
    return {key: {"slug": slug, "kind": "Image", "super_kind": "Image", "relative_path": relative_path}}


VALUE_ITEM = {"socket": {"slug": "age", "kind": "Integer", "super_kind": "Value", "relative_path": "age.json"}}


@pytest.mark.parametrize(
    "items",
    [
        None,
        [image_item("socket")],
        [image_item("interface")],
        [image_item("socket") | image_item("interface"), VALUE_ITEM],
        [{"socket": {"slug": "t2-mri"}}],
        [image_item("socket", slug="t2-mri-of-the-ear")],
        [{"socket": {"slug": "t2-mri"}}, {"socket": {"slug": "age", "relative_path": "age.json"}}],
    ],
    ids=["no-listing", "socket", "interface", "both-and-a-value", "slug-alone", "slug-unlike-folder", "no-kinds"],
)
def test_platform_image_is_found_by_listing_or_folder(tmp_path, items):
    put(tmp_path / "images" / "t2-mri", "0a1b.mha")
    if items is not None:
        write_listing(tmp_path, items)
    case = find_platform_case(tmp_path, tmp_path / "out", "segmentation")
    assert case.image_path == tmp_path / "images" / "t2-mri" / "0a1b.mha"
    assert case.mask_path == tmp_path / "out" / "images" / "segmentation" / "0a1b.mha"


def test_platform_listing_chooses_among_folders(tmp_path):
    put(tmp_path / "images" / "t1-mri", "x.mha")
    put(tmp_path / "images" / "t2-mri", "y.mha")
    with pytest.raises(InputError, match=r"images: expected exactly one image input, found 2 \(t1-mri, t2-mri\)"):
        find_platform_case(tmp_path, tmp_path / "out", "s")
    write_listing(tmp_path, [image_item("socket")])
    assert find_platform_case(tmp_path, tmp_path / "out", "s").name == "y"


@pytest.mark.parametrize("name", ["0a1b.mha", "0a1b.nii.gz", "0a1b.nii"])
def test_platform_mask_is_mha_whatever_the_image_is(tmp_path, name):
    put(tmp_path / "images" / "t2-mri", name)
    assert find_platform_case(tmp_path, tmp_path / "out", "s").mask_path.name == "0a1b.mha"


def test_platform_image_right_under_images_is_found(tmp_path):
    put(tmp_path / "images", "0a1b.mha")
    assert find_platform_case(tmp_path, tmp_path / "out", "s").image_path == tmp_path / "images" / "0a1b.mha"


def test_linked_platform_input_is_followed(tmp_path):
    put(tmp_path / "real" / "images" / "t2-mri", "0a1b.mha")
    (tmp_path / "input").symlink_to(tmp_path / "real")
    assert is_platform_job(tmp_path / "input")
    assert find_platform_case(tmp_path / "input", tmp_path / "out", "s").name == "0a1b"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"t2-mri: expected exactly one image, found 0 files \(nothing\)"),
        (["a.mha", "b.mha"], r"t2-mri: expected exactly one image, found 2 files \(a\.mha, b\.mha\)"),
        (["a.tif"], r"a\.tif: not an image; expected a name that ends in"),
    ],
)
def test_platform_folder_without_exactly_one_image_is_refused(tmp_path, names, message):
    put(tmp_path / "images" / "t2-mri", *names)
    with pytest.raises(InputError, match=message):
        find_platform_case(tmp_path, tmp_path / "out", "s")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("{", "not a list of items"),
        ('{"a": 1}', "not a list of items"),
        ([{"image": {}}], "not a list of items"),
        ([{"socket": None, "interface": None}], "not a list of items"),
        ([VALUE_ITEM], r"expected exactly one image input, found 0 \(none\)"),
        ([image_item("socket", relative_path="../elsewhere")], "lies outside"),
        ([image_item("socket", relative_path="/etc")], "lies outside"),
    ],
)
def test_unusable_platform_listing_is_refused_by_name(tmp_path, items, message):
    write_listing(tmp_path, items)
    with pytest.raises(InputError, match=rf"inputs\.json: .*{message}"):
        find_platform_case(tmp_path, tmp_path / "out", "s")


def test_listed_but_missing_platform_folder_is_refused(tmp_path):
    write_listing(tmp_path, [image_item("socket")])
    with pytest.raises(InputError, match=r"images/t2-mri: no such file or folder"):
        find_platform_case(tmp_path, tmp_path / "out", "s")


def test_second_file_in_the_platform_output_is_refused(tmp_path):
    put(tmp_path / "images" / "t2-mri", "0a1b.mha")
    put(tmp_path / "out" / "images" / "s", "0a1b.mha")
    assert find_platform_case(tmp_path, tmp_path / "out", "s").name == "0a1b"
    put(tmp_path / "out" / "images" / "s", "older.mha")
    with pytest.raises(InputError, match=r"s: must hold the one mask, but already holds older\.mha"):
        find_platform_case(tmp_path, tmp_path / "out", "s")


def test_what_is_called_an_image_and_cannot_be_one_is_refused_by_itself(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a_T2.nii.gz", "b_T2.NII.GZ", "c_T2.Mha", "g_T2.nrrd", "._a_T2.nii.gz", "notes.txt"):
        (folder / name).touch()
    (folder / "d_T2.nii.gz").symlink_to("/away/annex/d.nii.gz")
    (folder / "e_T2.nii.gz").mkdir()
    (folder / "f_T1.nii.gz").symlink_to("/away/annex/f.nii.gz")
    (folder / os.fsdecode(b"M\xfcller_T2.nii.gz")).touch()

    selection = find_cases(folder, tmp_path / "out", get_edition(2022))
    assert [case.name for case in selection.cases] == ["a", "b", "c"]
    causes = {line.removeprefix(f"{folder}/").split(": ")[0]: line for line in selection.refused}
    assert sorted(causes) == ["M\\xfcller_T2.nii.gz", "d_T2.nii.gz", "e_T2.nii.gz", "g_T2.nrrd"]
    assert "is a link to /away/annex/d.nii.gz, which is not there" in causes["d_T2.nii.gz"]
    assert "a folder, not an image" in causes["e_T2.nii.gz"]
    assert "a format that is not read" in causes["g_T2.nrrd"]
    assert "not UTF-8" in causes["M\\xfcller_T2.nii.gz"]
    assert [path.name for path in selection.passed_over] == ["notes.txt", "f_T1.nii.gz"]


def test_folder_of_nothing_but_dangling_links_is_one_of_failed_images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a_T2.nii.gz").symlink_to("/away/annex/a.nii.gz")
    selection = find_cases(folder, tmp_path / "out", get_edition(2022))
    assert (selection.cases, len(selection.refused)) == ((), 1)


def test_refused_image_names_the_mask_of_an_earlier_run(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "a_T2.nii.gz").symlink_to("/away/annex/a.nii.gz")
    edition = get_edition(2022)
    mask = out / edition.prediction_name("a")
    mask.touch()
    (line,) = find_cases(folder, out, edition).refused
    assert line.endswith(f"; {mask} is of an earlier run")


def test_a_link_or_a_pipe_that_is_named_itself_is_refused_with_its_cause(tmp_path):
    (tmp_path / "a_T2.nii.gz").symlink_to("/away/annex/a.nii.gz")
    os.mkfifo(tmp_path / "b_T2.nii.gz")
    for name, cause in (("a_T2.nii.gz", "is a link to /away/annex/a.nii.gz"), ("b_T2.nii.gz", "not a file")):
        selection = find_cases(tmp_path / name, tmp_path / "out", get_edition(2022))
        assert selection.cases == ()
        assert cause in selection.refused[0]


def test_platform_image_that_is_a_dangling_link_is_named(tmp_path):
    folder = tmp_path / "in" / "images" / "t2"
    folder.mkdir(parents=True)
    (folder / "a.mha").symlink_to("/away/a.mha")
    with pytest.raises(InputError, match=r"a\.mha: is a link to /away/a.mha, which is not there"):
        find_platform_case(tmp_path / "in", tmp_path / "out", "overlay")


def test_masks_that_belong_to_no_image_of_a_run_are_told_but_not_beside_the_images(tmp_path):
    images = put(tmp_path / "in", "a_T2.nii.gz", "b_T2.nii.gz", "a_Label.nii.gz", "old_Label.nii.gz")
    out = put(tmp_path / "out", "a_Label.nii.gz", "old_Label.nii.gz", ".hidden_Label.nii.gz", "notes.txt")
    edition = EDITIONS[2022]
    assert masks_of_others(out, find_cases(images, out, edition), edition) == [out / "old_Label.nii.gz"]
    assert masks_of_others(images, find_cases(images, images, edition), edition) == []
