"""Comparing outputs: masks by voxel and geometry, JSON by content, and no silent difference."""

from pathlib import Path

import numpy as np
import pytest

from contract.compare import differences
from vestibule.volume import Geometry, Volume, write_volume

GEOMETRY = Geometry((4, 5, 6), (1.5, 0.5, 0.5), (1.0, 2.0, 3.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def output(folder: Path, geometry: Geometry = GEOMETRY, voxel: int = 1, results: str = '[{"a": 1}]') -> Path:
    mask = np.zeros(geometry.size_zyx, dtype=np.uint8)
    mask[2, 2, 2] = voxel
    write_volume(folder / "images" / "vs" / "mask.mha", Volume(mask, geometry))
    (folder / "results.json").write_text(results)
    return folder


def test_the_same_content_has_no_difference(tmp_path):
    assert differences(output(tmp_path / "a"), output(tmp_path / "b", results='[ {"a":1} ]')) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"voxel": 2}, "differs in 1 of 120 voxels"),
        ({"geometry": Geometry((4, 5, 6), (1.5, 0.5, 0.5), (1.1, 2.0, 3.0), GEOMETRY.direction)}, "lies elsewhere"),
        ({"geometry": Geometry((4, 5, 6), (1.5, 0.5, 0.5), (1.0, 2.0, 3.0), (-1.0, 0, 0, 0, -1, 0, 0, 0, 1))}, "elsew"),
        ({"geometry": Geometry((4, 6, 5), (1.5, 0.5, 0.5), (1.0, 2.0, 3.0), GEOMETRY.direction)}, "has the size"),
        ({"results": '[{"a": 2}]'}, "results.json has other content"),
        ({"results": '[{"a": true}]'}, "results.json has other content"),
        ({"results": '[{"a": NaN}]'}, "results.json is not valid JSON"),
    ],
)
def test_a_difference_is_named(tmp_path, changed, named):
    lines = differences(output(tmp_path / "a"), output(tmp_path / "b", **changed))
    assert len(lines) == 1
    assert named in lines[0]


def test_allowed_voxels_may_differ(tmp_path):
    assert differences(output(tmp_path / "a"), output(tmp_path / "b", voxel=2), allow_voxels=1) == []


def test_missing_and_extra_files_are_named(tmp_path):
    expected, actual = output(tmp_path / "a"), output(tmp_path / "b")
    (actual / "results.json").rename(actual / "result.json")
    assert differences(expected, actual) == ["results.json is missing", "result.json was not expected"]


def test_nothing_to_compare_with_is_a_difference(tmp_path):
    (tmp_path / "a").mkdir()
    assert differences(tmp_path / "a", output(tmp_path / "b")) != []
