"""The page of an evaluation in a real Chromium: it loads, sorts, opens a case, and draws outlines where the mask is."""

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.images import find_images
from evaluation.reporting.report.build import Pictures, build_report
from evaluation.scoring.folder import score_folder
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, write_volume

_spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(browser_module)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_module.find_program() is None, reason="no Chromium here: install the package chromium"),
]

EDITION = get_edition(2022)
CASES = ("crossmoda2022_etz_1", "crossmoda2022_etz_2", "crossmoda2022_etz_10")
GEOMETRY = Geometry((12, 60, 60), (2.0, 1.0, 1.0), (-30.0, -30.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
SIDE = 20
ROWS_BACK, COLUMNS_LEFT = 5, 3
"""By how much the prediction of the first case lies beside its reference."""


def block(rows: int = 0, columns: int = 0) -> np.ndarray:
    """A tumour (Z, Y, X) of six slices and 20 x 20 voxels, moved to the patient's back and left."""
    mask = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    mask[3:9, 20 + rows : 20 + SIDE + rows, 18 + columns : 18 + SIDE + columns] = 1
    return mask


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three cases whose images are as bright as can be where the reference is, and black elsewhere."""
    folder = tmp_path_factory.mktemp("report")
    predictions = block(ROWS_BACK, COLUMNS_LEFT), block(), np.zeros_like(block())
    for case, prediction in zip(CASES, predictions, strict=True):
        write_volume(folder / "t2" / EDITION.target_name(case), Volume(block().astype(np.float32), GEOMETRY))
        write_volume(folder / "r" / EDITION.prediction_name(case), Volume(block(), GEOMETRY))
        write_volume(folder / "p" / EDITION.prediction_name(case), Volume(prediction, GEOMETRY))
    scores = score_folder(folder / "p", folder / "r", folder / "out", EDITION)
    build_report(
        scores, folder / "p", folder / "r", folder / "out", EDITION, Pictures(find_images(folder / "t2", EDITION))
    )
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with browser_module.running(browser_module.find_program(), tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(chromium, report: Path) -> Iterator:
    """The report as a user finds it. It must have asked for nothing else and complained of nothing."""
    opened = browser_module.Page(chromium)
    opened.open(report)
    yield opened
    assert opened.problems() == []
    assert opened.requests() == [report.as_uri()]
    opened.close()


def listed(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#cases tbody tr')].map((row) => row.dataset.case)")


def open_first(page) -> None:
    """Open the case whose masks lie beside each other."""
    page.click(f'tr[data-case="{CASES[0]}"] th')
    page.wait("document.getElementById('view').dataset.state === 'shown'")


def tiles(page) -> dict[str, np.ndarray]:
    """What the window shows of each plane, RGB (Y, X, 3) int."""
    whole = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    left, top, _, _ = page.box("#slices")
    found = page.evaluate("viewer.screenSlices.map((tile) => [tile.axCorSag, ...tile.leftTopWidthHeight])")
    parts = {}
    for plane, x, y, width, height in found:
        if plane <= 2:
            x0, y0 = round(left + x), round(top + y)
            name = ("axial", "coronal", "sagittal")[plane]
            parts[name] = whole[y0 : y0 + round(height), x0 : x0 + round(width)]
    return parts


def extent(tile: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """First and last row, first and last column of the pixels of about this colour; empty where there is none."""
    rows, columns = np.nonzero(np.abs(tile - colour).max(axis=2) < 60)
    return np.array([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]) if rows.size else np.array([])


OUTWARD = np.array([-1, 1, -1, 1])
WHITE, ORANGE, BLUE = (255, 255, 255), (255, 176, 0), (0, 194, 255)


def test_the_worst_case_stands_first_and_headings_sort(page) -> None:
    assert listed(page) == [CASES[2], CASES[0], CASES[1]]
    page.click("#cases th:nth-child(2) button")
    assert listed(page) == [CASES[2], CASES[0], CASES[1]]
    page.click("#cases th:nth-child(2) button")
    assert listed(page) == [CASES[1], CASES[0], CASES[2]]
    assert page.evaluate("document.querySelector('#cases th:nth-child(2)').getAttribute('aria-sort')") == "descending"
    page.click("#cases th:nth-child(1) button")
    assert listed(page) == [CASES[0], CASES[1], CASES[2]]


def test_keys_alone_open_a_case_turn_to_the_next_and_close_it(page) -> None:
    page.evaluate("document.querySelector('#cases tbody tr').focus()")
    for key in ("ArrowDown", "Enter"):
        page.press(key)
    page.wait("document.getElementById('view').dataset.state === 'shown'")
    title = "document.getElementById('view-title').textContent"
    assert page.evaluate(title) == CASES[0]
    page.press("ArrowRight")
    page.wait(f"{title} === '{CASES[1]}' && document.getElementById('view').dataset.state === 'shown'")
    page.press("Escape")
    page.wait("!document.getElementById('view').open")
    page.wait(f"document.activeElement.dataset.case === '{CASES[1]}'")
    assert listed(page)[1:] == [CASES[0], CASES[1]]


def test_outlines_are_where_the_masks_are(page) -> None:
    open_first(page)
    page.press("m")
    outlined = tiles(page)
    page.press("r")
    page.press("p")
    plain = tiles(page)
    assert set(plain) == {"axial", "coronal", "sagittal"}
    for plane, tile in plain.items():
        bright = extent(tile, WHITE)
        assert extent(tile, ORANGE).size == extent(tile, BLUE).size == 0
        # The line lies on the edge, so it reaches half its width beyond.
        assert extent(outlined[plane], ORANGE) == pytest.approx(bright + 1.5 * OUTWARD, abs=1.6)
    reference = extent(outlined["axial"], ORANGE)
    voxel = (reference[1] - reference[0] - 3) / SIDE
    # Front is up and the patient's right on the left.
    moved = reference + voxel * np.repeat([ROWS_BACK, COLUMNS_LEFT], 2)
    # Its line is thinner by a pixel.
    assert extent(outlined["axial"], BLUE) == pytest.approx(moved - 0.5 * OUTWARD, abs=1.6)


def test_keys_and_wheel_scroll_through_the_slices(page) -> None:
    open_first(page)
    page.press("m")
    assert extent(tiles(page)["axial"], ORANGE).size
    page.press("ArrowDown")
    beneath = tiles(page)["axial"]
    assert extent(beneath, ORANGE).size == extent(beneath, WHITE).size == 0
    page.press("ArrowUp")
    assert extent(tiles(page)["axial"], ORANGE).size
    before = page.evaluate("[...viewer.scene.crosshairPos]")
    left, top, _, _ = page.box("#slices")
    axial = "viewer.screenSlices.find((tile) => tile.axCorSag === 0)"
    x, y, width, height = page.evaluate(f"[...{axial}.leftTopWidthHeight]")
    place = {"x": left + x + width / 2, "y": top + y + height / 2}
    page.call("Input.dispatchMouseEvent", type="mouseWheel", **place, deltaX=0, deltaY=120)
    page.wait(f"viewer.scene.crosshairPos[2] !== {before[2]}")
    assert page.evaluate("[...viewer.scene.crosshairPos]")[:2] == pytest.approx(before[:2])


def test_light_and_dark_follow_the_system_and_the_button(page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.prefer("light")
    light = page.evaluate(ground)
    page.prefer("dark")
    dark = page.evaluate(ground)
    assert [sum(map(int, colour[4:-1].split(","))) > 384 for colour in (light, dark)] == [True, False]
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert page.evaluate(ground) == dark


def test_an_opened_case_tells_its_dice_and_the_slice_with_most_tumour(page) -> None:
    open_first(page)
    # Of 400 voxels a slice, 15 x 17 are common.
    assert page.evaluate("document.getElementById('view-scores').textContent").startswith("VS: Dice 0.637, ASSD ")
    number = "document.getElementById('view-slice').textContent"
    assert page.evaluate(number) == "axial slice 3 (0 to 11, from the feet)"
    page.press("ArrowUp")
    assert page.evaluate(number).startswith("axial slice 4 ")
    page.click("#lower")
    assert page.evaluate(number).startswith("axial slice 3 ")


def test_letters_tell_the_patients_sides_and_turn_where_the_images_axes_do(page) -> None:
    open_first(page)
    edges = "Object.values(edgesOf(tilePlacement(viewer.screenSlices.find((tile) => tile.axCorSag === {}))))"
    assert page.evaluate(edges.format(0)) == ["R", "L", "A", "P"]
    assert page.evaluate(edges.format(1)) == ["R", "L", "S", "I"]
    assert page.evaluate(edges.format(2)) == ["P", "A", "S", "I"]
    # Had the image's columns run to the patient's left, its left would be shown on the left.
    page.evaluate("shown.towards = ['L', 'A', 'S']")
    assert page.evaluate(edges.format(0)) == ["L", "R", "A", "P"]


def test_the_letter_of_the_left_stands_where_the_patients_left_is(page) -> None:
    open_first(page)
    page.press("r")
    page.press("p")
    page.press("m")
    axial = tiles(page)["axial"]
    _, _, first, last = extent(axial, WHITE)
    # The tumour's columns 18 to 37 of 60 lie to the patient's right by one: to the left of the picture, which R marks.
    placement = "tilePlacement(viewer.screenSlices.find((tile) => tile.axCorSag === 0))"
    middle = page.evaluate(f"{placement}.clip[2] / 2")
    assert (first + last) / 2 < middle
    assert page.evaluate(f"edgesOf({placement}).left") == "R"


def test_a_scale_bar_is_as_long_as_it_says(page) -> None:
    open_first(page)
    for name in ("r", "p", "m"):
        page.press(name)
    for plane, number in (("axial", 0), ("coronal", 1)):
        _, _, first, last = extent(tiles(page)[plane], WHITE)
        tumour_px_per_mm = (last - first) / SIDE
        bar = page.evaluate(f"scaleBar(tilePlacement(viewer.screenSlices.find((tile) => tile.axCorSag === {number})))")
        assert bar["pixels"] / bar["mm"] == pytest.approx(tumour_px_per_mm, rel=0.02)


def test_nothing_is_wider_than_a_phone(page) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    width = "Math.max(document.documentElement.scrollWidth, innerWidth)"
    assert page.evaluate(width) == 390
    open_first(page)
    assert page.evaluate(width) == 390
    left, _, right, _ = page.box("#view")
    assert (left, right) == (0, 390)
    assert page.evaluate("document.getElementById('view').scrollWidth") <= 390
