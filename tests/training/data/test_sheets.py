"""Sheets of slices: headings, and differences with their root mean square."""

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from training.data.sheets import Difference, save_sheet


def test_a_difference_is_the_first_less_the_second_and_has_its_root_mean_square() -> None:
    image = np.array([[0.5, -0.5], [1.0, 0.0]], dtype=np.float16)
    other = np.array([[0.5, 0.5], [0.0, 0.0]], dtype=np.float16)
    difference = Difference.between(image, other)
    np.testing.assert_array_equal(difference.pixels, [[0, -1], [1, 0]])
    assert difference.rmse == pytest.approx(np.sqrt(2 / 4))
    assert difference.shape == (2, 2)


def test_brighter_is_orange_darker_violet_and_equal_grey(tmp_path) -> None:
    pixels = np.zeros((30, 30), dtype=np.float32)
    pixels[:, :10] = 0.8
    pixels[:, 20:] = -0.8
    save_sheet(tmp_path / "sheet.png", {"image": [np.zeros((30, 30))], "difference": [Difference(pixels)]})
    picture = matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]
    red, green, blue = np.moveaxis(picture[len(picture) // 2], -1, 0)
    orange = np.flatnonzero(red - blue > 0.3)
    violet = np.flatnonzero(blue - green > 0.2)
    # The grey slice fills the left half.
    assert len(red) / 2 < orange.min() < orange.max() < violet.min()


def test_a_sheet_without_differences_has_no_room_for_their_numbers(tmp_path) -> None:
    slices = [np.zeros((20, 20))]
    save_sheet(tmp_path / "plain.png", {"a": slices, "b": slices})
    save_sheet(tmp_path / "compared.png", {"a": slices, "b": [Difference(slices[0])]})
    plain = Image.open(tmp_path / "plain.png").size
    compared = Image.open(tmp_path / "compared.png").size
    assert compared[0] == plain[0]
    assert compared[1] > plain[1] + 20
