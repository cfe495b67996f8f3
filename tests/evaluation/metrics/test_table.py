"""The table of metrics: what it says of each, by values worked out by hand."""

import math

import numpy as np
import pytest

from evaluation.metrics import METRICS, MaskPair, headlines, primary
from vestibule.volume import Geometry

GEOMETRY = Geometry((2, 3, 4), (2.0, 1.0, 0.5), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
DIAGONAL_MM = math.hypot(2 * 2.0, 3 * 1.0, 4 * 0.5)
DISTANCES = ("assd_mm", "hd95_pooled_mm", "hd95_directed_mm")


def mask(*voxels: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros(GEOMETRY.size_zyx, dtype=bool)
    for voxel in voxels:
        found[voxel] = True
    return found


def test_columns_stand_in_the_order_of_earlier_files() -> None:
    assert list(METRICS) == [
        "dice",
        "assd_mm",
        "hd95_pooled_mm",
        "hd95_directed_mm",
        "volume_mm3",
        "reference_volume_mm3",
        "volume_error_mm3",
        "components",
        "components_found",
        "components_false",
        "boundary_assd_mm",
    ]
    assert all(key == metric.key for key, metric in METRICS.items())


def test_the_paper_s_two_metrics_are_the_headlines_and_dice_orders_cases() -> None:
    assert [metric.title for metric in headlines()] == ["Dice", "ASSD (mm)"]
    assert primary().key == "dice"
    assert primary().count_key == "over_0_8"
    assert METRICS["assd_mm"].count_key == ""


def test_values_are_those_worked_out_by_hand() -> None:
    pair = MaskPair(mask((0, 0, 0), (0, 0, 1)), mask((0, 0, 1)), GEOMETRY)
    found = {key: metric.value(pair) for key, metric in METRICS.items()}
    assert found["dice"] == pytest.approx(2 / 3)
    assert found["assd_mm"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert found["volume_mm3"] == 2.0
    assert found["volume_error_mm3"] == 1.0
    assert (found["components"], found["components_found"], found["components_false"]) == (1, 1, 0)
    assert found["boundary_assd_mm"] is None


@pytest.mark.parametrize(
    ("prediction", "reference", "mode", "dice", "distance"),
    [
        (mask(), mask(), "default", 1.0, 0.0),
        (mask(), mask((0, 0, 0)), "default", 0.0, DIAGONAL_MM),
        (mask((0, 0, 0)), mask(), "default", 0.0, DIAGONAL_MM),
        (mask(), mask(), "challenge", 0.0, 350.0),
        (mask(), mask((0, 0, 0)), "challenge", 0.0, 350.0),
    ],
)
def test_an_empty_mask_has_the_value_of_its_mode(prediction, reference, mode, dice, distance) -> None:
    pair = MaskPair(prediction, reference, GEOMETRY, mode)
    assert METRICS["dice"].value(pair) == dice
    for key in DISTANCES:
        assert METRICS[key].value(pair) == pytest.approx(distance)


def test_what_several_metrics_need_is_computed_once() -> None:
    asked = []

    def voxels(pair: MaskPair) -> int:
        asked.append(pair)
        return pair.prediction_voxels

    pair = MaskPair(mask((0, 0, 0)), mask((0, 0, 0)), GEOMETRY)
    assert [pair.shared(voxels), pair.shared(voxels)] == [1, 1]
    assert asked == [pair]
