from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.vestibule.dicom.writer import edit, write_enhanced, write_series
from vestibule.dicom.headers import OTHER, T1, T1_CONTRAST, T2, find_series, kind_of
from vestibule.dicom.images import read_stack
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, reorient

AXIAL = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


def rotation(axis, degrees):
    """A row-major rotation about one of the patient's axes."""
    turn = sitk.VersorTransform([1.0 * (axis == number) for number in range(3)], np.radians(degrees))
    return turn.GetMatrix()


def scan(direction=AXIAL, orientation=None):
    """Noise of whole values on a small grid."""
    geometry = Geometry((6, 9, 7), (2.5, 0.5, 0.75), (-30.0, 12.25, 5.5), tuple(direction))
    voxels = np.random.default_rng(0).integers(-50, 900, geometry.size_zyx).astype(np.float32)
    volume = Volume(voxels, geometry)
    return reorient(volume, orientation) if orientation else volume


def only(folder):
    """The single series of a folder."""
    (series,) = find_series(folder).series
    return series


@pytest.mark.parametrize(
    "volume",
    [
        scan(),
        scan(rotation(0, 17)),
        scan(rotation(1, -25)),
        scan(orientation="PIL"),
        scan(orientation="SRP"),
        scan(orientation="RAS"),
    ],
    ids=["axial", "oblique", "oblique the other way", "sagittal", "coronal", "flipped"],
)
def test_a_series_is_where_simpleitk_reads_it(tmp_path, volume):
    write_series(tmp_path, volume)
    stack = read_stack(only(tmp_path))

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    oracle = reader.Execute()
    geometry = stack.volume.geometry
    assert geometry.spacing_xyz.tolist() == pytest.approx(oracle.GetSpacing())
    assert geometry.origin_xyz == pytest.approx(oracle.GetOrigin(), abs=1e-4)
    assert geometry.direction == pytest.approx(oracle.GetDirection(), abs=1e-6)
    np.testing.assert_array_equal(stack.volume.voxels, sitk.GetArrayFromImage(oracle))


@pytest.mark.parametrize("orientation", [None, "PIL", "SRP"])
def test_an_enhanced_file_is_the_same_volume_as_single_slices(tmp_path, orientation):
    volume = scan(rotation(0, 10), orientation)
    write_series(tmp_path / "single", volume)
    write_enhanced(tmp_path / "enhanced" / "one.dcm", volume)
    single = read_stack(only(tmp_path / "single")).volume
    enhanced = read_stack(only(tmp_path / "enhanced")).volume
    assert enhanced.geometry.describes(single.geometry)
    np.testing.assert_array_equal(enhanced.voxels, single.voxels * 2 - 5)


def test_a_file_that_is_there_twice_counts_once(tmp_path):
    write_series(tmp_path, scan())
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "IM0002.dcm").read_bytes())
    assert read_stack(only(tmp_path)).volume.geometry.size_zyx == (6, 9, 7)


def test_stored_values_are_rescaled(tmp_path):
    volume = scan()
    write_series(tmp_path, volume, RescaleSlope="0.5", RescaleIntercept="10")
    expected = volume.voxels * 0.5 + 10
    np.testing.assert_array_equal(np.sort(read_stack(only(tmp_path)).volume.voxels.ravel()), np.sort(expected.ravel()))


def files_by_height(folder):
    """Files of an axial series, the lowest slice first."""
    return sorted(folder.glob("*.dcm"), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])


def shift(path, *, z=0.0, y=0.0):
    position = list(pydicom.dcmread(path).ImagePositionPatient)
    position[1] += y
    position[2] += z
    edit(path, ImagePositionPatient=position)


def lose_a_slice(files):
    files[2].unlink()


def double_a_slice(files):
    copy = files[2].with_name("other.dcm")
    copy.write_bytes(files[2].read_bytes())
    edit(copy, SOPInstanceUID=pydicom.uid.generate_uid())


def move_a_slice(files):
    shift(files[2], z=0.4)


def tilt_the_gantry(files):
    for number, path in enumerate(files):
        shift(path, y=0.6 * number)


def turn_a_slice(files):
    edit(files[1], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])


def keep_one(files):
    for path in files[1:]:
        path.unlink()


def cut_a_file(files):
    content = files[3].read_bytes()
    files[3].write_bytes(content[: len(content) - 60])


def lose_its_position(files):
    edit(files[0], ImagePositionPatient=None)


def promise_many_pixels(files):
    edit(files[0], Rows=60000, Columns=60000)


def colour(files):
    edit(files[0], PhotometricInterpretation="RGB")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_slice, "lacks about 1 slices between"),
        (double_a_slice, "two slices in one place"),
        (move_a_slice, "are unevenly spaced"),
        (tilt_the_gantry, "gantry tilted by 13.5 degrees"),
        (turn_a_slice, "mixes directions"),
        (keep_one, "has 1 slice; expected a volume"),
        (cut_a_file, "cannot be decoded"),
        (lose_its_position, "expected 3 numbers in ImagePositionPatient"),
        (promise_many_pixels, "60000 x 60000 x 1 pixels are more than the 134217728 that are read"),
        (colour, "expected grey values, got RGB"),
    ],
)
def test_what_would_be_misread_is_refused_with_its_place(tmp_path, damage, message):
    write_series(tmp_path, scan())
    damage(files_by_height(tmp_path))
    with pytest.raises(InputError, match=message) as caught:
        read_stack(only(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_jpeg_2000_without_a_decoder_is_refused_by_name(tmp_path):
    write_series(tmp_path, scan())
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        dataset.save_as(path)
    with pytest.raises(InputError, match="cannot be decoded \\(JPEG 2000"):
        read_stack(only(tmp_path))


def test_losslessly_compressed_slices_are_read(tmp_path):
    volume = scan()
    write_series(tmp_path, volume)
    expected = read_stack(only(tmp_path)).volume.voxels
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    np.testing.assert_array_equal(read_stack(only(tmp_path)).volume.voxels, expected)


def test_slices_of_inverted_greys_stay_comparable(tmp_path):
    volume = scan()
    write_series(tmp_path, volume)
    for path in tmp_path.glob("*.dcm"):
        edit(path, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_stack(only(tmp_path)).volume.voxels, 2**15 - 1 - volume.voxels)


def test_two_series_of_a_folder_stay_apart(tmp_path):
    write_series(tmp_path / "a", scan(), "t2_ciss")
    write_series(tmp_path / "b", replace(scan(), voxels=scan().voxels + 1), "t1_gd")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "a" / ".hidden.dcm").write_bytes(b"")
    found = find_series(tmp_path)
    assert [series.kind for series in found.series] == [T2, T1_CONTRAST]
    assert found.problems == []


def test_a_file_that_is_called_dicom_and_is_none_is_named(tmp_path):
    write_series(tmp_path, scan())
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    (problem,) = find_series(tmp_path).problems
    assert "broken.dcm: no DICOM file" in problem


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_folder_without_dicom_is_named(tmp_path, make):
    folder = tmp_path / "empty"
    make(folder)
    with pytest.raises(InputError, match=str(folder)):
        find_series(folder)


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"SeriesDescription": "t1_mpr_gd"}, T1_CONTRAST),
        ({"SeriesDescription": "T1 MPRAGE", "ContrastBolusAgent": "Gadovist"}, T1_CONTRAST),
        ({"SeriesDescription": "t1_tse_tra"}, T1),
        ({"SeriesDescription": "T1 pre contrast"}, T1),
        ({"SeriesDescription": "t2_space_post_gd"}, T2),
        ({"SeriesDescription": "CISS 3D"}, T2),
        ({"SeriesDescription": "IAC", "EchoTime": "120", "RepetitionTime": "4000"}, T2),
        ({"SeriesDescription": "IAC", "EchoTime": "9", "RepetitionTime": "500"}, T1),
        ({"SeriesDescription": "localizer"}, OTHER),
        ({"SeriesDescription": "ep2d_diff", "EchoTime": "40", "RepetitionTime": "9000"}, OTHER),
    ],
)
def test_sequences_are_told_apart(elements, kind):
    header = pydicom.Dataset()
    for name, value in elements.items():
        setattr(header, name, value)
    assert kind_of(header) == kind
