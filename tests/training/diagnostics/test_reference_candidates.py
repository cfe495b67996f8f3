"""`vestibule train slices`: slices to choose the reference slice from, at the level of the inner ears."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from training.commands.train import train
from training.diagnostics import reference_candidates
from training.diagnostics.reference_candidates import ear_level, plot_candidates, slices_around, spread
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig
from vestibule.volume import Geometry, Volume, reorient, write_volume

EDITION = get_edition(2022)
SPACING = (2.0, 1.0, 1.0)


def heads(level: int) -> np.ndarray:
    """T2 (Z, Y, X) in [-1, 1]: bone, with spots of fluid in both ears at `level`, and more elsewhere on one side."""
    volume = np.full((10, 64, 96), -0.95, dtype=np.float32)
    volume[0] = 0.6  # a neck without bone
    for column in (20, 76):
        volume[level, 28:31, column : column + 3] = 0.9
        volume[level, 22:24, column : column + 2] = 0.9
    # A vein on one side alone, brighter and larger.
    volume[7, 20:34:5, 16:19] = 1.0
    volume[7, 22:34:5, 22:26] = 1.0
    return volume


@pytest.mark.parametrize("level", [2, 5, 8])
def test_the_level_is_where_both_sides_have_fluid_in_bone(level: int) -> None:
    assert ear_level(heads(level), SPACING) == level


@pytest.mark.parametrize(
    ("level", "count", "slices", "spacing_mm", "expected"),
    [
        (10, 5, 28, 1.5, [6, 8, 10, 12, 14]),
        (10, 5, 28, 4.0, [8, 9, 10, 11, 12]),
        (1, 5, 28, 1.5, [1, 3, 5, 7, 9]),
        (27, 5, 28, 1.5, [19, 21, 23, 25, 27]),
        (3, 40, 6, 1.5, [0, 1, 2, 3, 4, 5]),
        (3, 1, 6, 1.5, [3]),
    ],
)
def test_slices_lie_around_the_level_as_far_as_the_image_goes(level, count, slices, spacing_mm, expected) -> None:
    assert slices_around(level, count, slices, spacing_mm) == expected


def test_cases_are_spread_over_all_unless_some_are_named() -> None:
    names = ["a", "b", "c", "d", "e"]
    assert spread(names, (), 3) == ["a", "c", "e"]
    assert spread(names, (), 9) == names
    assert spread(names, ("d", "b"), 1) == ["d", "b"]
    with pytest.raises(InputError, match="'f' is no T2 training case; the first ones are a, b, c"):
        spread(names, ("f",), 1)


@pytest.fixture
def data(tmp_path):
    """Two T2 cases, the slices of the second stored from the head downwards, and a labelled T1 case."""
    folder = tmp_path / "data"
    geometry = Geometry((10, 64, 96), SPACING, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    upwards = Volume(heads(5), geometry)
    target = folder / EDITION.target_folder
    write_volume(target / EDITION.target_name("crossmoda2022_etz_1"), upwards)
    write_volume(target / EDITION.target_name("crossmoda2022_etz_2"), reorient(upwards, "LPI"))
    source = folder / EDITION.source_folder
    write_volume(source / EDITION.source_name("crossmoda2022_etz_3"), upwards)
    label = upwards.with_voxels(np.zeros(geometry.size_zyx, dtype=np.uint8))
    write_volume(source / EDITION.label_name("crossmoda2022_etz_3"), label)
    return folder


def test_slices_are_counted_from_the_feet_whatever_the_file_as_the_configuration_counts(config, data, tmp_path):
    region = PreprocessingConfig((1.0, 1.0), (64, 96), centre="bright")
    config = replace(config, prepare=region)
    found = plot_candidates(config, tmp_path / "sheet.png", data, slices=3)
    assert [candidates.case for candidates in found] == ["crossmoda2022_etz_1", "crossmoda2022_etz_2"]
    for candidates in found:
        assert candidates.level == 5
        assert candidates.slices == (3, 5, 7)
    width, height = Image.open(tmp_path / "sheet.png").size
    assert width > height


def test_slices_that_a_line_does_not_hold_go_on_below(config, data, tmp_path, monkeypatch):
    sheets = []
    monkeypatch.setattr(
        reference_candidates, "save_sheet", lambda out, columns, rows, inches: sheets.append((columns, rows))
    )
    config = replace(config, prepare=PreprocessingConfig((1.0, 1.0), (64, 96), centre="bright"))
    plot_candidates(config, tmp_path / "sheet.png", data, slices=8)
    ((columns, rows),) = sheets
    assert rows == ["case: crossmoda2022_etz_1"] * 2 + ["case: crossmoda2022_etz_2"] * 2
    captions = [[cell.caption.split("  ")[0] for cell in column] for column in columns.values()]
    assert captions[0] == ["slice: 1", "slice: 7", "slice: 1", "slice: 7"]
    assert captions[1] == ["slice: 2", "slice: 8", "slice: 2", "slice: 8"]
    assert captions[5] == ["slice: 6", "", "slice: 6", ""]


def test_more_than_a_sheet_holds_is_refused(config, data, tmp_path) -> None:
    with pytest.raises(InputError, match="200 slices of each case make 272 lines, and a sheet holds 120"):
        plot_candidates(config, tmp_path / "sheet.png", data, cases=8, slices=200)


def test_the_command_names_what_can_be_copied_into_a_configuration(run_dir, tmp_path) -> None:
    path = tmp_path / "c.yaml"
    network = "{generator: {architecture: resnet}}"
    path.write_text(f"name: x\nintended_use: phantom\nedition: 2022\ncyclegan: {network}\npix2pix: {network}\n")
    out = tmp_path / "sheet.png"
    words = ["slices", str(out), "--config", str(path)]
    result = CliRunner().invoke(train, [*words, "--run", str(run_dir), "--case", "case_1", "--slices", "2"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("case: case_1  slices ")
    assert out.stat().st_size > 5000
    result = CliRunner().invoke(train, words)
    assert result.exit_code == 2
    assert "give either --data or --run" in result.output
