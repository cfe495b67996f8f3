"""The region of interest in every real head beside the project."""

import numpy as np

from vestibule.preprocessing import PreprocessingConfig, working_geometry
from vestibule.volume import read_scan, reorient


def images(shared_data, *endings):
    found = sorted((shared_data / "heads").glob("*.nii.gz"))
    return [path for path in found if path.name.endswith(tuple(f"{ending}.nii.gz" for ending in endings))]


def test_region_is_found_in_every_real_head_and_is_alike_on_t1_and_t2(shared_data, caplog):
    middles = {}
    for path in images(shared_data, "T1W", "T2W"):
        volume = reorient(read_scan(path))
        grid = working_geometry(volume, PreprocessingConfig((1.2, 1.2), (96, 96)), path.name)
        middle = grid.to_patient((np.array(grid.size_zyx[::-1]) - 1) / 2)
        corner = volume.geometry.to_patient(np.array(volume.geometry.size_zyx[::-1]) - 0.5)
        # From the back and the left edge of the image, where all of these were cut alike around the head.
        middles[path.name.removesuffix("W.nii.gz")] = (corner - middle)[[1, 0]]
    assert len(middles) == 11
    assert not caplog.text
    for session in ("p01s1", "p01s2", "p03s2", "p04s1"):
        assert np.abs(middles[f"{session}_T1"] - middles[f"{session}_T2"]).max() < 5
