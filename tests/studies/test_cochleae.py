import numpy as np
import pytest

from training.data.slices import PreparedCase
from training.pseudo_labels.ears import middle_on
from vestibule.editions import get_edition

EDITION = get_edition(2021)
SPACING = (1.5, 1.2, 1.2)
SHAPE = (20, 40, 60)


def ball(centre, radius):
    """Voxels (Z, Y, X) within a ball, all in mm."""
    grid = np.indices(SHAPE) * np.reshape(SPACING, (3, 1, 1, 1))
    return ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius**2


@pytest.fixture
def case(tmp_path):
    """A case with a cochlea on one side, and a function that shows it with a vestibule, so many mm farther back."""
    np.save(tmp_path / "label.npy", np.where(ball((14, 23, 17), 2.6), 2, 0).astype(np.uint8))

    def shown(back_mm):
        bright = ball((14, 23 + back_mm, 17), 2.2) | ball((14.5, 29 + back_mm, 18), 2.4)
        return np.where(bright, 0.7, -0.9).astype(np.float32)

    return PreparedCase("a", "source", "", tmp_path / "a.npy", tmp_path / "label.npy", SPACING, (), ()), shown


def test_image_that_shows_an_ear_in_front_of_its_label_is_told_so(study, case):
    study_of = study("cochleae")
    labelled, shown = case
    real = study_of.mean_ear([labelled], [shown(0.0)], EDITION)
    in_front = study_of.mean_ear([labelled], [shown(-1.2)], EDITION)
    x, y, z = middle_on(in_front, real).centre_xyz
    # Its label lies on what is farther back in a real ear.
    assert y == pytest.approx(1.2, abs=0.3)
    assert abs(x) < 0.3
    assert abs(z) < 0.3


def test_middles_are_told_in_mm_by_case_and_side(study, case):
    (key, middle), *others = study("cochleae").middles_of([case[0]], EDITION).items()
    assert (key, others) == (("a", False), [])
    assert middle == pytest.approx([17, 23, 14], abs=0.6)
    assert study("cochleae").in_words(np.array([0.1, -2.0, 0.0])) == "+0.10 -2.00 +0.00"
