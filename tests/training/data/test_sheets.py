"""Sheets of slices: headings, and differences with their root mean square."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from training.data import sheets
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


def test_each_label_has_an_outline_of_its_colour_and_a_mask_is_red(tmp_path) -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:15, 5:20] = 1
    labels[25:35, 35:55] = 2
    grey = np.zeros((40, 60), np.float32)
    outlines = {"labels": [labels], "mask": [labels > 0], "none": [np.zeros_like(labels)]}
    save_sheet(tmp_path / "sheet.png", {"labels": [grey], "mask": [grey], "none": [grey]}, outlines, note="below")
    pixels = np.array(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    third = pixels.shape[1] // 3
    red = (pixels[..., 0] - pixels[..., 2]) > 100
    blue = (pixels[..., 2] - pixels[..., 0]) > 100
    found = [(red[:, k * third : (k + 1) * third].any(), blue[:, k * third : (k + 1) * third].any()) for k in range(3)]
    assert found == [(True, True), (True, False), (False, False)]


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_what_is_said_below_a_sheet_lies_within_it(tmp_path, monkeypatch, columns) -> None:
    drawn = []

    class Remembered(Figure):
        def savefig(self, *args, **kwargs):
            super().savefig(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(sheets, "Figure", Remembered)
    image = np.zeros((20, 20))
    cells = {str(number): [image] for number in range(columns - 1)}
    note = "red and yellow: vs, blue: cochlea; the patient's right is on the left"
    save_sheet(tmp_path / "sheet.png", {**cells, "difference": [Difference(image)]}, note=note)
    (figure,) = drawn
    text = figure._supxlabel.get_window_extent()
    assert 0 <= text.x0 < text.x1 <= figure.bbox.width
    assert 0 <= text.y0 < text.y1 < min(axis.get_window_extent().y0 for axis in figure.axes)
