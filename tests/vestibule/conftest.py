"""How images may lie in the patient."""

import pytest
from scipy.spatial.transform import Rotation

DIRECTIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    "flipped": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "left-handed": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": tuple(Rotation.from_euler("xyz", (11, -23, 7), degrees=True).as_matrix().ravel().tolist()),
}


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def direction(request: pytest.FixtureRequest) -> tuple[float, ...]:
    """Each of the directions in turn, row-major."""
    return request.param
