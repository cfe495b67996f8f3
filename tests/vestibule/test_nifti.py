"""Headers that contradict themselves."""

import nibabel
import numpy as np
import pytest

from vestibule.errors import InputError
from vestibule.volume import read_header, read_scan, read_volume, write_volume

AFFINE = np.diag([-1.2, -1.2, 1.5, 1.0])
ELSEWHERE = np.array([[1.2, 0, 0, 5], [0, 1.2, 0, -7], [0, 0, 1.5, 0], [0, 0, 0, 1.0]])
NEARLY_HALF_A_TURN = 1e-3
"""Radians: the scalar of the quaternion is lost in its rounding."""
LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def save(path, affine=AFFINE, sform_code=1, qform_code=1, qform=None, unit="mm", size_xyz=(50, 40, 30)):
    """An image of changing intensities whose header places it so."""
    image = nibabel.Nifti1Image(np.indices(size_xyz, dtype=np.float32).sum(axis=0), affine)
    image.set_qform(affine if qform is None else qform, code=qform_code)
    image.set_sform(affine, code=sform_code)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def test_spacing_that_contradicts_the_affine_is_warned_of_with_both(tmp_path, caplog, capfd):
    path = tmp_path / "a.nii.gz"
    image = nibabel.Nifti1Image(np.ones((5, 4, 3), np.float32), np.diag([1.2, 1.2, 1.5, 1.0]))
    nibabel.save(image, path)
    read_volume(path)
    assert not caplog.records
    image.header["pixdim"][1:4] = 1.0
    nibabel.save(image, path)
    read_volume(path)
    assert caplog.messages[0].startswith(
        f"{path}: its header contradicts itself, the spacing is 1 x 1 x 1 mm by pixdim"
    )
    assert "1.2 x 1.2 x 1.5 mm by the affine" in caplog.messages[0]
    # Nothing of ITK's own, which names neither.
    assert "NiftiImageIO" not in capfd.readouterr().err


def test_axes_off_right_angles_by_rounding_are_read_and_written_alike(tmp_path):
    path, mask = tmp_path / "a.nii.gz", tmp_path / "mask.nii.gz"
    affine = np.diag([1.2, 1.2, 1.5, 1.0])
    affine[0, 1] = 5e-4 * 1.2
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(5, 4, 3), affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)
    nibabel.save(image, path)

    volume = read_volume(path)
    matrix = volume.geometry.matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(volume.geometry.spacing_zyx, (1.5, 1.2, 1.2), rtol=1e-6)
    write_volume(mask, volume, like=path)
    assert read_volume(mask).geometry == volume.geometry
    np.testing.assert_array_equal(nibabel.load(mask).affine, nibabel.load(path).affine)


def test_image_that_no_code_places_is_warned_of_and_its_mask_is_as_little_placed(tmp_path, caplog):
    path, mask = save(tmp_path / "a.nii.gz", sform_code=0, qform_code=0), tmp_path / "mask.nii.gz"
    volume = read_volume(path)
    assert "does not say how it lies in the patient (qform_code and sform_code are 0)" in caplog.text
    assert volume.geometry.direction == LPS
    write_volume(mask, volume, like=path)
    header = nibabel.load(mask).header
    assert (header["qform_code"], header["sform_code"]) == (0, 0)
    assert read_volume(mask).geometry == volume.geometry


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (2, 1)])
def test_image_that_a_code_places_is_warned_of_by_nobody(tmp_path, caplog, codes):
    sform_code, qform_code = codes
    volume = read_volume(save(tmp_path / "a.nii.gz", sform_code=sform_code, qform_code=qform_code))
    np.testing.assert_allclose(volume.geometry.matrix, np.eye(3), atol=1e-6)
    assert not caplog.records


@pytest.mark.parametrize(("sform_code", "taken", "origin"), [(1, "sform", (0, 0, 0)), (2, "qform", (-5, 7, 0))])
def test_two_places_are_warned_of_and_the_one_that_is_named_is_taken(tmp_path, caplog, sform_code, taken, origin):
    path = save(tmp_path / "a.nii.gz", sform_code=sform_code, qform=ELSEWHERE)
    volume = read_volume(path)
    assert "qform and sform place its corners up to" in caplog.text
    assert f"the {taken} is taken" in caplog.text
    np.testing.assert_allclose(volume.geometry.origin_xyz, origin, atol=1e-5)


def test_unit_of_the_header_counts(tmp_path):
    in_metres = np.diag([-0.0012, -0.0012, 0.0015, 1.0])
    volume = read_volume(save(tmp_path / "a.nii.gz", in_metres, unit="meter"))
    np.testing.assert_allclose(volume.geometry.spacing_zyx, (1.5, 1.2, 1.2), rtol=1e-6)


@pytest.mark.parametrize(
    ("scale", "unit"),
    [(0.1, "mm"), (0.001, "mm"), (1.0, "micron"), (1.0, "meter"), (100.0, "mm")],
    ids=["a tenth", "metres called mm", "mm called microns", "mm called metres", "a hundred times"],
)
def test_image_whose_spacing_cannot_be_a_heads_is_refused(tmp_path, scale, unit):
    affine = AFFINE * scale
    affine[3, 3] = 1.0
    path = save(tmp_path / "a.nii.gz", affine, unit=unit)
    with pytest.raises(InputError, match=r"a\.nii\.gz: sides of .* mm, which is no head; is the spacing .* right"):
        read_scan(path)


def raw(path, affine=AFFINE, qform_only=True, **fields):
    """An image whose header holds these values, whatever nibabel thinks of them: {field: (index, value)}."""
    save(path, affine, sform_code=0 if qform_only else 1)
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, nibabel.nifti1.header_dtype, count=1)
    for name, (index, value) in fields.items():
        header[name].reshape(-1)[index] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("value", [1e38, -1.7, np.nan, np.inf])
def test_a_quaternion_that_is_none_is_refused_by_name(tmp_path, value):
    path = raw(tmp_path / "a.nii", quatern_b=(0, value))
    for read in (read_volume, read_header):
        with pytest.raises(InputError, match=r"a\.nii: (its header gives no rotation|the affine)"):
            read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_begin_nowhere_are_refused_by_name(tmp_path, value):
    path = raw(tmp_path / "a.nii", vox_offset=(0, value))
    for read in (read_volume, read_header):
        with pytest.raises(InputError, match=r"a\.nii: not a NIfTI image \(vox_offset is"):
            read(path)


def test_a_sign_of_the_third_axis_that_was_left_out_is_plus(tmp_path):
    path = tmp_path / "a.nii"
    for qform_only in (True, False):
        expected = read_volume(raw(path, qform_only=qform_only)).geometry
        raw(path, qform_only=qform_only, pixdim=(0, 0.0))
        assert read_volume(path).geometry == expected


@pytest.mark.parametrize("qform_only", [True, False])
@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_negative_spacing_is_refused_by_name(tmp_path, index, qform_only):
    path = raw(tmp_path / "a.nii", qform_only=qform_only, pixdim=(index, -1.5))
    with pytest.raises(InputError, match=r"a\.nii: .*positive"):
        read_volume(path)


@pytest.mark.parametrize(("turned", "warned"), [(NEARLY_HALF_A_TURN, False), (0.02, True)])
def test_what_a_quaternion_cannot_hold_is_no_contradiction(tmp_path, caplog, turned, warned):
    sine, cosine = np.sin(turned), np.cos(turned)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    affine = AFFINE.copy()
    affine[:3, :3] = rotation @ AFFINE[:3, :3]
    # Half a turn itself, or a place that is really another one.
    path = save(tmp_path / "t2.nii.gz", affine, qform=AFFINE if warned else None, size_xyz=(128, 128, 28))
    stored = nibabel.load(path).header
    assert np.abs(stored.get_qform() - stored.get_sform()).max() > 1e-3
    read_header(path)
    assert ("contradicts itself" in caplog.text) == warned
