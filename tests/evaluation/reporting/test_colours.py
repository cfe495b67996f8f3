"""The colours of outlines: told apart by everyone, and on every grey."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from evaluation.reporting.colours import pens_of
from vestibule.editions import get_edition

# What a person without one kind of cones sees of linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009,
# severity 1.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE_XYZ = TO_XYZ.sum(axis=1)
LEAST_DIFFERENCE = 30.0
"""In CIELAB, whose unit is about a just noticeable difference of large patches; lines are thin."""


def lab(colour: str, eye: str) -> np.ndarray:
    """CIELAB (1976) of a colour as an eye sees it."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SEEN_BY[eye] @ linear, 0, 1)
    ratio = TO_XYZ @ seen / WHITE_XYZ
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SEEN_BY)
def test_tumour_and_cochlea_of_either_side_stay_apart_from_each_other_and_from_greys(eye: str) -> None:
    colours = []
    for pen in pens_of(get_edition(2022)):
        colours += [pen.reference, pen.prediction]
    greys = ["#000000", "#404040", "#ffffff"]
    pairs = [*itertools.combinations(colours, 2), *itertools.product(colours, greys)]
    for first, second in pairs:
        difference = np.linalg.norm(lab(first, eye) - lab(second, eye))
        assert difference > LEAST_DIFFERENCE, (first, second)


def test_red_and_green_would_not_stay_apart() -> None:
    assert np.linalg.norm(lab("#c05000", "deuteranopia") - lab("#708000", "deuteranopia")) < LEAST_DIFFERENCE


def test_the_tumour_has_the_first_colours_wherever_the_edition_names_it() -> None:
    edition = replace(get_edition(2022), structures={"cochlea": (2,), "nerve": (3,), "vs": (1,), "canal": (4,)})
    pens = pens_of(edition)
    assert [pen.structure for pen in pens] == ["vs", "cochlea", "nerve", "canal"]
    assert pens[0].reference == pens_of(get_edition(2021))[0].reference
    # There are three colours.
    assert pens[3].reference == pens[0].reference
    assert pens[1].values == (2,)
