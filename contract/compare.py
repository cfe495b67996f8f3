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
from vestibule.volume import read_volume


def differences(expected_dir: Path, actual_dir: Path, allow_voxels: int = 0) -> list[str]:
    """What is missing from `actual_dir`, what is there beyond `expected_dir`, and what differs, a line each."""
    expected, actual = _files(expected_dir), _files(actual_dir)
    if not expected:
        return [f"{expected_dir} holds no file to compare with"]
    lines = [f"{name} is missing" for name in sorted(expected - actual)]
    lines += [f"{name} was not expected" for name in sorted(actual - expected)]
    for name in sorted(expected & actual):
        lines += _difference(name, expected_dir / name, actual_dir / name, allow_voxels)
    return lines


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _difference(name: str, expected: Path, actual: Path, allow_voxels: int) -> list[str]:
    if image_stem(expected) is not None:
        return _image_difference(name, expected, actual, allow_voxels)
    if expected.suffix == ".json":
        return _json_difference(name, expected, actual)
    return [] if expected.read_bytes() == actual.read_bytes() else [f"{name} has other bytes"]


def _image_difference(name: str, expected: Path, actual: Path, allow_voxels: int) -> list[str]:
    try:
        wanted, found = read_volume(expected), read_volume(actual)
    except InputError as error:
        return [str(error)]
    if wanted.geometry.size_zyx != found.geometry.size_zyx:
        return [f"{name} has the size {found.geometry.size_zyx} (z, y, x), expected {wanted.geometry.size_zyx}"]
    lines = []
    if not wanted.geometry.describes(found.geometry):
        lines.append(f"{name} lies elsewhere: {found.geometry}, expected {wanted.geometry}")
    differing = int(np.count_nonzero(wanted.voxels != found.voxels))
    if differing > allow_voxels:
        lines.append(f"{name} differs in {differing} of {wanted.voxels.size} voxels (--allow-voxels {allow_voxels})")
    return lines


def _json_difference(name: str, expected: Path, actual: Path) -> list[str]:
    try:
        found = json.loads(actual.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        return [f"{name} is not valid JSON ({error})"]
    wanted = json.loads(expected.read_text(encoding="utf-8"))
    # As text, because Python takes true for 1.
    same = json.dumps(wanted, sort_keys=True) == json.dumps(found, sort_keys=True)
    return [] if same else [f"{name} has other content"]


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON value")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--allow-voxels", type=int, default=0)
    parser.add_argument("expected", type=Path)
    parser.add_argument("actual", type=Path)
    given = parser.parse_args()
    found_lines = differences(given.expected, given.actual, given.allow_voxels)
    print("\n".join(found_lines) or "the same")
    sys.exit(1 if found_lines else 0)
