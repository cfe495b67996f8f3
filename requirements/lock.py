"""Write inference.txt, evaluation.txt and dicom.txt from the .in beside each, with the sha256 of every file.

    python requirements/lock.py

The hashes are those of Linux on amd64, for each Python that an image may have. Nothing is resolved: each .in lists
all that a run imports, because nnunetv2's metadata asks for far more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12")


def hashes_by_package(requirements: Path, python: str) -> dict[str, str]:
    """`name==version` -> sha256 of the file that pip would install on Linux, amd64, under `python`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        # pip takes another Python's version only where it would install somewhere else.
        command += ["--python-version", python, "--target", folder, "--platform", "manylinux_2_28_x86_64"]
        command += ["--platform", "manylinux2014_x86_64", "--report", str(report), "--requirement", str(requirements)]
        subprocess.run(command, check=True)
        found = json.loads(report.read_text())["install"]
    return {
        f"{item['metadata']['name'].lower().replace('_', '-')}=={item['metadata']['version']}": item["download_info"][
            "archive_info"
        ]["hashes"]["sha256"]
        for item in found
    }


def locked_lines(found: list[dict[str, str]]) -> list[str]:
    """One line a package, with the hashes that each Python needs."""
    names = sorted({name for packages in found for name in packages})
    return [
        " ".join([name, *sorted({f"--hash=sha256:{packages[name]}" for packages in found if name in packages})])
        for name in names
    ]


if __name__ == "__main__":
    for name in ("inference", "evaluation", "dicom"):
        lines = locked_lines([hashes_by_package(HERE / f"{name}.in", python) for python in PYTHONS])
        (HERE / f"{name}.txt").write_text(f"# Written by lock.py from {name}.in.\n" + "\n".join(lines) + "\n")
