"""What every test may use: where real images lie, if they are there."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images. Tests that ask for it skip where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real images beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of both arms with random weights: the smallest that the real pipeline runs."""
    # Imports PyTorch, which most tests need not wait for.
    from tests.tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
