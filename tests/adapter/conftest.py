"""The platform's adapter and its bucket, installed and started once for all tests that need them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapter.driver import AdapterMissingError, Bucket, environment, is_taken, running_bucket
from vestibule.client import PORT


@pytest.fixture(scope="session")
def programs(repository: Path) -> Path:
    """The folder of the adapter's programs. Skips with the reason where they cannot be had."""
    if is_taken(PORT):
        pytest.skip(f"port {PORT} is taken on this machine, and an image listens on no other")
    try:
        return environment(repository / "build" / "adapter")
    except AdapterMissingError as reason:
        pytest.skip(f"no adapter: {reason}")


@pytest.fixture(scope="session")
def bucket(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket that is up."""
    log = tmp_path_factory.mktemp("bucket") / "log"
    with running_bucket(programs, log) as running:
        yield running
