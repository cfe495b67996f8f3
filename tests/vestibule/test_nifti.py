"""Headers that contradict themselves."""

import nibabel
import numpy as np

from vestibule.volume import read_volume, write_volume


def test_spacing_that_contradicts_the_affine_is_warned_of_with_both(tmp_path, caplog):
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
