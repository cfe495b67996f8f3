"""Commands whose disk is full while they write: one line with the file, and nothing half written."""

import os
import resource
import subprocess
import sys

import pytest

from tests.reliability.fuzz.commands import make_scene
from vestibule.files import PARTIAL

SMALL = ("--cases", "1", "--validation", "1", "--shape", "8,16,16", "--spacing", "6,6,6")
COMMANDS = {
    "phantom": (("phantom", "out", *SMALL), 1000),
    "pictures": (("pictures", "masks", "references", "out", "--images", "t2"), 9000),
    "pictures --report": (("pictures", "masks", "out", "--images", "t2", "--report", "--workers", "1"), 200_000),
    "evaluate --sheets": (
        ("evaluate", "masks", "references", "out", "--images", "t2", "--sheets", "--no-report", "--workers", "1"),
        20_000,
    ),
    "import dicom": (("import", "dicom", "dicom", "out"), 3000),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    make_scene(folder, folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_full_is_told_with_the_file(name, scene, tmp_path):
    words, most_bytes = COMMANDS[name]
    out = tmp_path / "out"
    arguments = [str(out) if word == "out" else word for word in words]

    def limit():
        # No file may grow further, as if the disk were full by then; the system says so to whoever writes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-m", "vestibule", *arguments]
    # Caches of libraries, which may be written anew, are not what is looked at.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=scene, preexec_fn=limit, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1, done.stderr
    assert last.startswith("vestibule: error: "), done.stderr
    assert f"{out}/" in last
    assert "cannot be written (File too large)" in last
    assert "Traceback" not in done.stderr
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(PARTIAL)]
    assert left == []
