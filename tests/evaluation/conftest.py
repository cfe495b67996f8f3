"""Small masks on known grids, and the folders that hold them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

AXIAL = Geometry(
    size_zyx=(8, 12, 10),
    spacing_zyx=(1.5, 0.5, 0.4),
    origin_xyz=(-30.0, 12.0, 5.0),
    direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)


@pytest.fixture
def geometry() -> Geometry:
    return AXIAL


@pytest.fixture
def labels() -> np.ndarray:
    """A tumour (1) of 2 x 3 x 3 voxels and a cochlea (2) of 2 x 2 x 2, on the grid of `geometry`."""
    mask = np.zeros(AXIAL.size_zyx, dtype=np.uint8)
    mask[2:4, 3:6, 2:5] = 1
    mask[4:6, 8:10, 6:8] = 2
    return mask


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write labels (Z, Y, X) as the mask of a case into a folder of the test's own, and return the file."""

    def write(folder: str, case: str, values: np.ndarray, geometry: Geometry = AXIAL, edition: int = 2022) -> Path:
        path = tmp_path / folder / get_edition(edition).prediction_name(case)
        write_volume(path, Volume(np.ascontiguousarray(values), geometry))
        return path

    return write
