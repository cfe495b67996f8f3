"""Figures and reports name the steps of a transfer by what they are."""

import numpy as np
import pytest

from training.config import TransferConfig
from training.harmonisers.compositing import Composite
from training.harmonisers.steps import steps_of, titles_of

RESULT = Composite(*(np.full((1, 2, 2), value) for value in (0.0, 1.0, 3.0, 2.0)))


def shown(**settings) -> dict[str, float]:
    """Heading of each step -> the value of its image."""
    config = TransferConfig(**settings)
    titles = titles_of(config)
    return {titles[name]: float(image[0, 0, 0]) for name, image in steps_of(RESULT, config).items()}


def test_what_enters_the_harmoniser_is_the_matched_copy_not_that_of_t1() -> None:
    assert shown(intensity="reference", rim_px=0.6, level=4) == {
        "T2, CycleGAN\nbefore the copy": 0.0,
        "T2, copy as on T1": 1.0,
        "T2, copy matched: intensity and rim\nenters the harmoniser": 2.0,
        "T2, harmonised\nlevel 4, soft edge": 3.0,
    }
    assert "T2, copy matched: rim\nenters the harmoniser" in shown(intensity="none", rim_px=0.6, level=4)


def test_a_copy_that_nothing_alters_enters_as_on_t1() -> None:
    assert shown(intensity="none", rim_px=0, level=2) == {
        "T2, CycleGAN\nbefore the copy": 0.0,
        "T2, copy as on T1\nenters the harmoniser": 1.0,
        "T2, harmonised\nlevel 2, soft edge": 3.0,
    }


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        ({"level": None}, "T2, not harmonised\nsoft edge"),
        ({"level": 3, "blending": "none"}, "T2, without a copy"),
    ],
)
def test_what_was_left_out_is_not_claimed(settings: dict, last: str) -> None:
    titles = list(shown(**settings))
    assert titles[-1] == last
    assert not any("harmoniser" in title for title in titles)
