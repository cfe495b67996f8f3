"""Headers that contradict themselves."""

import nibabel
import numpy as np

from vestibule.volume import read_volume


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
