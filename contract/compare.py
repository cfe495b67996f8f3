"""Whether two output folders say the same: masks by voxel and geometry, JSON by content, other files by bytes.

python -m contract.compare [--allow-voxels N] EXPECTED ACTUAL
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from vestibule.editions import image_stem
from vestibule.errors import InputError
from vestibule.files import parse_json
from vestibule.volume import read_volume


def differences(expected_dir: Path, actual_dir: Path, allow_voxels: int = 0) -> list[str]:
    """Compare two folders of outputs.

    Args:
        expected_dir: What is wanted.
        actual_dir: What was written.
        allow_voxels: That many voxels of a mask may differ.

    Returns:
        What is missing, what is there beyond it, and what differs, a line each.
    """
    expected, actual = _files(expected_dir), _files(actual_dir)
    if not expected:
        return [f"{expected_dir} holds no file to compare with"]
    missing = sorted(expected - actual)
    extra = sorted(actual - expected)
    common = sorted(expected & actual)
    lines = [f"{name} is missing" for name in missing]
    lines += [f"{name} was not expected" for name in extra]
    for name in common:
        lines += _difference(name, expected_dir / name, actual_dir / name, allow_voxels)
    return lines


def _files(folder: Path) -> set[str]:
    """Names of all files under `folder`, as paths from it."""
    names = set()
    for path in folder.rglob("*"):
        if path.is_file():
            names.add(str(path.relative_to(folder)))
    return names


def _difference(name: str, expected: Path, actual: Path, allow_voxels: int) -> list[str]:
    """How two files differ, by what they are."""
    if image_stem(expected) is not None:
        return _image_difference(name, expected, actual, allow_voxels)
    if expected.suffix == ".json":
        return _json_difference(name, expected, actual)
    if expected.read_bytes() != actual.read_bytes():
        return [f"{name} has other bytes"]
    return []


def _image_difference(name: str, expected: Path, actual: Path, allow_voxels: int) -> list[str]:
    """How two images differ: in size, in place, in voxels."""
    try:
        wanted = read_volume(expected)
        found = read_volume(actual)
    except InputError as error:
        return [str(error)]
    wanted_zyx = wanted.geometry.size_zyx
    found_zyx = found.geometry.size_zyx
    if wanted_zyx != found_zyx:
        return [f"{name} has the size {found_zyx} (z, y, x), expected {wanted_zyx}"]

    # Voxels can only be compared where there are as many.
    lines = []
    if not wanted.geometry.describes(found.geometry):
        lines.append(f"{name} lies elsewhere: {found.geometry}, expected {wanted.geometry}")
    differing = int(np.count_nonzero(wanted.voxels != found.voxels))
    total = wanted.voxels.size
    if differing > allow_voxels:
        lines.append(f"{name} differs in {differing} of {total} voxels (--allow-voxels {allow_voxels})")
    return lines


def _json_difference(name: str, expected: Path, actual: Path) -> list[str]:
    """Whether two JSON files say the same, whatever their spaces and the order of their keys."""
    try:
        found = parse_json(actual.read_bytes())
    except ValueError as error:
        return [f"{name} is not valid JSON ({error})"]
    wanted = parse_json(expected.read_bytes())

    # As text, because Python takes true for 1.
    found_text = json.dumps(found, sort_keys=True)
    wanted_text = json.dumps(wanted, sort_keys=True)
    return [] if found_text == wanted_text else [f"{name} has other content"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--allow-voxels", type=int, default=0)
    parser.add_argument("expected", type=Path)
    parser.add_argument("actual", type=Path)
    given = parser.parse_args()
    found_lines = differences(given.expected, given.actual, given.allow_voxels)
    print("\n".join(found_lines) or "the same")
    sys.exit(1 if found_lines else 0)
