"""Geometry round-trips exactly in every format, and what would be misread silently is refused by name."""

import gzip
import itertools
import os
import resource
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from vestibule.errors import InputError
from vestibule.volume import (
    Geometry,
    Volume,
    from_image,
    read_labels,
    read_scan,
    read_volume,
    to_image,
    write_volume,
)

SUFFIXES = [".nii.gz", ".nii", ".mha"]


def rotation(degrees_xyz):
    """Row-major rotation by angles about x, y and z, as NIfTI stores it: rounded to float32."""
    x, y, z = np.deg2rad(degrees_xyz)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return tuple((about_z @ about_y @ about_x).ravel().tolist())


AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = rotation((11.0, -23.0, 7.0))


def volume_of(direction=AXIAL, spacing_zyx=(1.5, 0.4999, 0.51339334), dtype=np.int16):
    voxels = np.random.default_rng(0).integers(0, 200, (5, 6, 7)).astype(dtype)
    return Volume(voxels, Geometry((5, 6, 7), spacing_zyx, (-91.237, 33.1415926, 12.3), direction))


def geometry_seen_by(reader, path):
    if reader == "nibabel":
        return [nibabel.load(path).affine]
    image = sitk.ReadImage(str(path))
    return [image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_volume_comes_back_in_its_place(tmp_path, direction, suffix):
    volume = volume_of(direction)
    path = tmp_path / f"case{suffix}"
    write_volume(path, volume)
    again = read_volume(path)
    assert np.array_equal(again.voxels, volume.voxels)
    assert again.voxels.dtype == np.float32
    assert again.geometry.describes(volume.geometry, tolerance_mm=1e-4)


@pytest.mark.parametrize("image_suffix", SUFFIXES)
@pytest.mark.parametrize("mask_suffix", SUFFIXES)
def test_mask_has_the_geometry_of_its_image(tmp_path, direction, mask_suffix, image_suffix):
    image_path, mask_path = tmp_path / f"image{image_suffix}", tmp_path / f"mask{mask_suffix}"
    write_volume(image_path, volume_of(direction))
    image = read_volume(image_path)
    write_volume(mask_path, image.with_voxels((image.voxels > 100).astype(np.uint8)), like=image_path)
    exact = 0.0 if (image_suffix == ".mha") == (mask_suffix == ".mha") else 1e-5
    for here, there in zip(geometry_seen_by("itk", image_path), geometry_seen_by("itk", mask_path), strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=exact)
    if ".mha" not in (image_suffix, mask_suffix):
        assert np.array_equal(geometry_seen_by("nibabel", image_path), geometry_seen_by("nibabel", mask_path))
    assert sitk.ReadImage(str(mask_path)).GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize(("sform_code", "qform_code"), [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (4, 1)])
def test_mask_agrees_with_its_image_in_every_reader_where_the_image_contradicts_itself(
    tmp_path, sform_code, qform_code
):
    affine = np.diag([-0.5, 0.5, 1.5, 1.0])
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine)
    shifted = affine.copy()
    shifted[:3, 3] = [5, 6, 7]
    image.set_sform(affine, sform_code)
    image.set_qform(shifted, qform_code)
    nibabel.save(image, tmp_path / "image.nii.gz")
    volume = read_volume(tmp_path / "image.nii.gz")
    write_volume(tmp_path / "mask.nii.gz", volume.with_voxels(np.ones((5, 4, 3), np.uint8)), tmp_path / "image.nii.gz")
    for reader in ("nibabel", "itk"):
        before, after = (geometry_seen_by(reader, tmp_path / name) for name in ("image.nii.gz", "mask.nii.gz"))
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_mask_keeps_nothing_of_its_image_but_the_place(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    image.header["descrip"] = b"a patient's name"
    image.header.set_slope_inter(2.0, 7.0)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a patient's name"))
    nibabel.save(image, tmp_path / "image.nii")
    mask = Volume(np.ones((5, 4, 3), np.uint8), read_volume(tmp_path / "image.nii").geometry)
    write_volume(tmp_path / "mask.nii", mask, like=tmp_path / "image.nii")
    assert b"name" not in (tmp_path / "mask.nii").read_bytes()
    assert np.array_equal(nibabel.load(tmp_path / "mask.nii").get_fdata(), np.ones((3, 4, 5)))


def test_placement_of_an_image_of_another_size_is_refused(tmp_path):
    write_volume(tmp_path / "image.nii", volume_of())
    small = Volume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2), (1, 1, 1), (0, 0, 0), AXIAL))
    with pytest.raises(ValueError, match=r"has .*7.*6.*5.* voxels, the volume to be placed like it \(2, 2, 2\)"):
        write_volume(tmp_path / "mask.nii", small, like=tmp_path / "image.nii")
    assert not (tmp_path / "mask.nii").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_twice_gives_the_same_bytes_at_any_time(tmp_path, suffix, monkeypatch):
    clock = itertools.count(1_000_000_000)
    monkeypatch.setattr("time.time", lambda: next(clock))
    paths = [tmp_path / "one" / f"case{suffix}", tmp_path / "two" / f"case{suffix}"]
    for path in paths:
        write_volume(path, volume_of(OBLIQUE))
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voxels_are_written_in_their_own_type_without_slope(tmp_path, suffix, dtype):
    write_volume(tmp_path / f"case{suffix}", volume_of(dtype=dtype))
    image = sitk.ReadImage(str(tmp_path / f"case{suffix}"))
    assert sitk.GetArrayFromImage(image).dtype == dtype
    assert np.array_equal(sitk.GetArrayFromImage(image), volume_of(dtype=dtype).voxels)


def save_nifti(path, data, affine=None, change=None):
    """Store `data`; `change` alters the stored header, past nibabel's own corrections."""
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    if change:
        pack, unpack = (gzip.compress, gzip.decompress) if path.name.endswith(".gz") else (bytes, bytes)
        content = unpack(path.read_bytes())
        header = nibabel.Nifti1Header(content[:348], check=False)
        change(header)
        path.write_bytes(pack(header.binaryblock + content[348:]))


GOOD = np.random.default_rng(1).integers(0, 999, (20, 20, 12)).astype(np.int16)
SHEARED = np.array([[1.0, 0.3, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])


def zero_spacing(header):
    header["pixdim"][2] = 0


def not_finite_affine(header):
    header["srow_x"] = [1, 0, 0, np.nan]
    header["sform_code"] = 1


def with_nan(data):
    data = data.astype(np.float32)
    data[3, 3, 3] = np.nan
    return data


def rgb(shape):
    return np.zeros(shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def truncated_inside(path):
    save_nifti(path.with_name("whole.nii"), GOOD)
    content = path.with_name("whole.nii").read_bytes()
    path.write_bytes(gzip.compress(content[: len(content) // 2]))


BAD_NIFTI = {
    "text": (lambda path: path.write_text("no image"), "damaged or truncated gzip|not a NIfTI image"),
    "empty": (lambda path: path.write_bytes(b""), "not a NIfTI image"),
    "2-D": (lambda path: save_nifti(path, GOOD[..., 0]), r"expected a 3-D image, got 2-D of size \(20, 20\)"),
    "4-D": (lambda path: save_nifti(path, GOOD.reshape(20, 20, 4, 3)), "expected a 3-D image, got 4-D of size"),
    "one slice": (lambda path: save_nifti(path, GOOD[..., :1]), "single slice"),
    "truncated": (lambda path: (save_nifti(path, GOOD), cut(path)), "truncated"),
    "last bytes missing": (lambda path: (save_nifti(path, GOOD), cut(path, 0.999)), "truncated"),
    "NaN": (lambda path: save_nifti(path, with_nan(GOOD)), "1 voxels are NaN or infinite"),
    "overflow": (lambda path: save_nifti(path, GOOD * 1e300), "voxels are NaN or infinite"),
    "spacing 0": (lambda path: save_nifti(path, GOOD, change=zero_spacing), "spacing must be positive"),
    "sheared": (lambda path: save_nifti(path, GOOD, SHEARED), "sheared"),
    "affine not finite": (lambda path: save_nifti(path, GOOD, change=not_finite_affine), "non-finite axis"),
    "RGB": (lambda path: save_nifti(path, rgb((4, 5, 6))), "expected one value a voxel, got 3"),
    "complex": (lambda path: save_nifti(path, GOOD * 1j), "expected one value a voxel, got 2"),
    "NIfTI-2": (lambda path: nibabel.save(nibabel.Nifti2Image(GOOD, np.eye(4)), path), "NIfTI-2 file"),
    "spacing off": (lambda path: save_nifti(path, GOOD, np.diag([500, 500, 500, 1])), "is the spacing .* right"),
    "spacing in metres": (
        lambda path: save_nifti(path, GOOD, np.diag([1e-3, 1e-3, 2e-3, 1])),
        "is the spacing .* right",
    ),
}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize(("make", "message"), BAD_NIFTI.values(), ids=BAD_NIFTI)
def test_bad_nifti_is_refused_with_file_and_cause(tmp_path, make, message, suffix):
    path = tmp_path / f"bad_image{suffix}"
    make(path)
    with pytest.raises(InputError, match=rf"bad_image{suffix}: .*({message})"):
        read_volume(path)


def test_whole_gzip_of_a_truncated_image_is_refused(tmp_path):
    truncated_inside(tmp_path / "bad.nii.gz")
    with pytest.raises(InputError, match=r"bad\.nii\.gz: truncated, it ends before the last of its 4800 voxels"):
        read_volume(tmp_path / "bad.nii.gz")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("slope", [0.0, np.nan, 1.0, 2.0])
def test_slope_of_nothing_leaves_stored_values_as_they_are(tmp_path, slope, dtype):
    path = tmp_path / "image.nii"
    volume = volume_of(dtype=dtype)
    write_volume(path, volume)
    stored = bytearray(path.read_bytes())
    stored[112:120] = np.array([slope, 0], "<f4").tobytes()
    path.write_bytes(stored)
    expected = volume.voxels * 2.0 if slope == 2 else volume.voxels
    np.testing.assert_array_equal(read_volume(path).voxels, expected)


@pytest.mark.parametrize("dtype", [">i2", "<u2", ">f4", "<f8"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 3, 1)])
@pytest.mark.parametrize("scaling", [(1, 0), (0.5, -3)])
def test_stored_types_and_byte_orders_are_read_as_nibabel_reads_them(tmp_path, dtype, shape, scaling):
    path = tmp_path / "image.nii.gz"
    header = nibabel.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(np.dtype(dtype))
    values = np.arange(60).reshape(shape) * 100.0
    image = nibabel.Nifti1Image(values, np.eye(4), header)
    image.header.set_slope_inter(*scaling)
    nibabel.save(image, path)
    expected = nibabel.load(path).get_fdata().reshape(5, 4, 3).T
    found = read_volume(path).voxels
    assert found.dtype == np.float32
    assert found.dtype.isnative
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gzip_of_several_members_and_of_zeros_behind_them_is_read_whole(tmp_path):
    path = tmp_path / "parts.nii.gz"
    volume = volume_of()
    write_volume(path, volume)
    stored = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(stored[:400]) + gzip.compress(stored[400:]) + bytes(512))
    np.testing.assert_array_equal(read_volume(path).voxels, volume.voxels)


def mha(path, old=b"", new=b"", array=GOOD, compress=False, vector=False):
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path), compress)
    path.write_bytes(path.read_bytes().replace(old, new))


IDENTITY, UNIT = b"TransformMatrix = 1 0 0 0 1 0 0 0 1", b"ElementSpacing = 1 1 1"
BAD_MHA = {
    "text": (lambda path: path.write_text("no image"), "not an image"),
    "empty": (lambda path: path.write_bytes(b""), "not an image"),
    "2-D": (lambda path: mha(path, array=GOOD[0]), "expected a 3-D image, got 2-D"),
    "4-D": (lambda path: mha(path, array=GOOD.reshape(2, 10, 20, 12)), "expected a 3-D image, got 4-D"),
    "RGB": (lambda path: mha(path, array=np.zeros((4, 5, 6, 3), np.uint8), vector=True), "one value a voxel, got 3"),
    "truncated": (lambda path: (mha(path), cut(path)), "truncated"),
    "truncated zlib": (lambda path: (mha(path, compress=True), cut(path)), "truncated"),
    "spacing 0": (lambda path: mha(path, UNIT, b"ElementSpacing = 1 0 1"), "spacing must be positive"),
    "spacing NaN": (lambda path: mha(path, UNIT, b"ElementSpacing = 1 nan 1"), "expected a number"),
    "sheared": (lambda path: mha(path, IDENTITY, b"TransformMatrix = 1 0 0 .3 1 0 0 0 1"), "sheared or scaled"),
    "scaled": (lambda path: mha(path, IDENTITY, b"TransformMatrix = 2 0 0 0 2 0 0 0 2"), "sheared or scaled"),
}


@pytest.mark.parametrize(("make", "message"), BAD_MHA.values(), ids=BAD_MHA)
def test_bad_mha_is_refused_with_file_and_cause(tmp_path, make, message):
    make(tmp_path / "bad.mha")
    with pytest.raises(InputError, match=rf"bad\.mha: .*({message})"):
        read_volume(tmp_path / "bad.mha")


def test_missing_file_folder_and_other_ending_are_refused(tmp_path):
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "notes.txt").write_text("")
    for name, message in (("gone.mha", "no such file"), ("folder.nii.gz", "a folder"), ("notes.txt", "not an image")):
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("trailing", [(1,), (1, 1)])
def test_trailing_single_dimensions_are_dropped(tmp_path, trailing):
    save_nifti(tmp_path / "image.nii.gz", GOOD.reshape(*GOOD.shape, *trailing))
    assert np.array_equal(read_volume(tmp_path / "image.nii.gz").voxels, GOOD.transpose(2, 1, 0))
    mask = read_volume(tmp_path / "image.nii.gz").with_voxels(np.ones((12, 20, 20), np.uint8))
    write_volume(tmp_path / "mask.nii.gz", mask, like=tmp_path / "image.nii.gz")
    assert nibabel.load(tmp_path / "mask.nii.gz").shape == (20, 20, 12)


def test_constant_image_is_no_scan_but_a_volume(tmp_path):
    write_volume(tmp_path / "flat.mha", volume_of().with_voxels(np.full((5, 6, 7), 3, np.uint8)))
    assert read_volume(tmp_path / "flat.mha").voxels.max() == 3
    with pytest.raises(InputError, match=r"flat\.mha: every voxel is 3"):
        read_scan(tmp_path / "flat.mha")


def test_labels_stored_through_a_slope_are_rounded(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[0, 1], [2, 1]], [[0, 0], [1, 2]]], np.int16), np.eye(4))
    image.header.set_slope_inter(0.9999999997671694, 0)
    image.to_filename(tmp_path / "label.nii.gz")
    labels = read_labels(tmp_path / "label.nii.gz")
    assert labels.voxels.dtype == np.uint8
    assert sorted(np.unique(labels.voxels)) == [0, 1, 2]


@pytest.mark.parametrize("value", [0.5, -1.0, 300.0])
def test_values_that_are_no_labels_are_refused(tmp_path, value):
    voxels = np.zeros((5, 6, 7), np.float32)
    voxels[2, 2, 2] = value
    write_volume(tmp_path / "label.mha", volume_of().with_voxels(voxels))
    with pytest.raises(InputError, match=r"label\.mha: label values must be integers"):
        read_labels(tmp_path / "label.mha")


def test_image_name_is_needed_for_writing(tmp_path):
    with pytest.raises(InputError, match=r"mask\.png: an image's name ends in"):
        write_volume(tmp_path / "mask.png", volume_of())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_is_an_error_and_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"mask{suffix}"
    write_volume(path, volume_of())
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 64)).astype(np.uint8)
    np.save(tmp_path / "noise.npy", noise)
    code = (
        "import sys, numpy; from pathlib import Path; from vestibule.volume import *\n"
        f"noise = numpy.load({str(tmp_path / 'noise.npy')!r})\n"
        "geometry = Geometry(noise.shape, (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))\n"
        f"try: write_volume(Path({str(path)!r}), Volume(noise, geometry))\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    # A limit on the size of a file stands for a disk that is full: the write fails half-way.
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit_file_size)
    assert finished.returncode == 1
    assert f"{path}: cannot be written" in finished.stderr.splitlines()[-1]
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, "noise.npy"])


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_sitk_round_trip_is_exact():
    volume = volume_of(OBLIQUE)
    again = from_image(to_image(volume))
    assert again.geometry == volume.geometry
    assert np.array_equal(again.voxels, volume.voxels)
    with pytest.raises(ValueError, match="expected a scalar 3-D image, got 2-D"):
        from_image(sitk.Image([4, 4], sitk.sitkUInt8))


def test_volume_of_another_size_than_its_geometry_is_refused():
    with pytest.raises(ValueError, match="must have the geometry's size"):
        Volume(np.zeros((2, 2, 2)), Geometry((2, 2, 3), (1, 1, 1), (0, 0, 0), AXIAL))


@pytest.mark.parametrize("name", ["a.NII.GZ", "a.Nii.gz", "a.NII", "a.Nii", "a.MHA", "a.Mha"])
def test_endings_count_in_either_case_of_letters(tmp_path, name):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    written = tmp_path / name.lower()
    write_volume(written, Volume(voxels, Geometry((3, 4, 5), (3.0, 1.0, 1.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))))
    expected = read_volume(written)
    read = read_volume(written.rename(tmp_path / name))
    assert read.geometry == expected.geometry
    np.testing.assert_array_equal(read.voxels, voxels)


@pytest.mark.parametrize("ending", [b".nii.gz", b".mha"])
def test_name_that_is_not_utf8_is_refused_where_itk_would_end_the_process(tmp_path, ending):
    path = tmp_path / os.fsdecode(b"M\xfcller" + ending)
    path.touch()
    with pytest.raises(InputError, match=r"M\\xfcller.*: its name is not UTF-8 text"):
        read_volume(path)
