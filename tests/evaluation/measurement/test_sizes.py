import math

import numpy as np
import pytest

from evaluation.measurement.sizes import axial_diameter_mm, grade_of, measure, measure_file
from vestibule.editions import get_edition
from vestibule.screening import MOST_VOXELS
from vestibule.volume import Geometry, Volume, reorient, write_volume

GEOMETRY = Geometry((20, 60, 60), (2.0, 1.5, 1.5), (-44.25, -44.25, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
VOXEL_MM3 = 4.5


def patient(edition=2022):
    """A tumour of 4 x 6 x 8 voxels on the left, which has the larger x, and a cochlea on each side."""
    labels = np.zeros(GEOMETRY.size_zyx, dtype=np.uint8)
    labels[8:12, 30:36, 36:44] = 1
    cochlea = 2 if edition == 2022 else 3
    labels[9:11, 25:27, 46:48] = cochlea
    labels[9:11, 25:28, 12:14] = cochlea
    return labels


def test_volumes_are_those_of_the_voxels():
    sizes = measure(Volume(patient(), GEOMETRY), "p", get_edition(2022))
    assert sizes.volume_mm3 == pytest.approx(4 * 6 * 8 * VOXEL_MM3)
    assert sizes.volume_ml == pytest.approx(sizes.volume_mm3 / 1000)
    assert sizes.cochlea_left_mm3 == pytest.approx(8 * VOXEL_MM3)
    assert sizes.cochlea_right_mm3 == pytest.approx(12 * VOXEL_MM3)
    assert sizes.problem is None


def test_the_diameter_of_a_box_is_its_diagonal_in_the_axial_plane():
    sizes = measure(Volume(patient(), GEOMETRY), "p", get_edition(2022))
    assert sizes.axial_diameter_mm == pytest.approx(math.hypot(6 * 1.5, 8 * 1.5))


def test_the_diameter_of_a_ball_is_right_to_a_voxel():
    geometry = Geometry((30, 60, 60), (1.0, 0.5, 0.5), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    z, y, x = np.indices(geometry.size_zyx) * np.array([1.0, 0.5, 0.5]).reshape(3, 1, 1, 1)
    ball = (z - 15) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 < 10**2
    assert axial_diameter_mm(ball, geometry) == pytest.approx(20, abs=0.75)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIL", "SRP", "ASL"])
def test_nothing_depends_on_the_direction_of_the_axes(orientation):
    volume = Volume(patient(), GEOMETRY)
    expected = measure(volume, "p", get_edition(2022))
    found = measure(reorient(volume, orientation), "p", get_edition(2022))
    assert found.side == expected.side == "left"
    assert found.axial_diameter_mm == pytest.approx(expected.axial_diameter_mm)
    assert found.cochlea_left_mm3 == pytest.approx(expected.cochlea_left_mm3)


def test_the_side_is_the_patients():
    mirrored = Volume(patient()[:, :, ::-1].copy(), GEOMETRY)
    assert measure(mirrored, "p", get_edition(2022)).side == "right"


def test_the_side_is_not_guessed_without_both_cochleae():
    labels = patient()
    labels[:, :, :20] = 0
    sizes = measure(Volume(labels, GEOMETRY), "p", get_edition(2022))
    assert sizes.side is None
    assert sizes.cochlea_left_mm3 is None
    assert "both cochleae" in sizes.problem


def test_parts_of_2023_give_the_extrameatal_diameter_and_its_grade():
    labels = patient(2023)
    labels[8:12, 30:36, 40:44] = 2
    sizes = measure(Volume(labels, GEOMETRY), "p", get_edition(2023))
    assert sizes.volume_mm3 == pytest.approx(192 * VOXEL_MM3)
    assert sizes.extrameatal_mm3 == pytest.approx(96 * VOXEL_MM3)
    assert sizes.extrameatal_diameter_mm == pytest.approx(math.hypot(9, 6))
    assert sizes.grade == 2


def test_other_editions_do_not_tell_the_extrameatal_part():
    sizes = measure(Volume(patient(), GEOMETRY), "p", get_edition(2022))
    assert sizes.extrameatal_diameter_mm is None
    assert sizes.grade is None


@pytest.mark.parametrize(("diameter_mm", "grade"), [(0, 0), (4, 1), (10, 1), (10.1, 2), (25, 3), (40, 4), (41, 5)])
def test_grades_are_those_of_the_consensus(diameter_mm, grade):
    assert grade_of(diameter_mm) == grade


def test_parts_that_touch_by_a_corner_are_one():
    labels = patient()
    labels[12, 36, 44] = 1
    assert measure(Volume(labels, GEOMETRY), "p", get_edition(2022)).parts == 1
    labels[15, 40, 40] = 1
    assert measure(Volume(labels, GEOMETRY), "p", get_edition(2022)).parts == 2


def test_a_mask_without_a_tumour_says_so():
    labels = patient()
    labels[labels == 1] = 0
    sizes = measure(Volume(labels, GEOMETRY), "p", get_edition(2022))
    assert (sizes.volume_mm3, sizes.parts, sizes.axial_diameter_mm) == (0, 0, None)
    assert sizes.problem == "no tumour in the mask"


def test_a_label_of_another_edition_is_named_with_its_file(tmp_path):
    path = tmp_path / "p_Label.nii.gz"
    write_volume(path, Volume(patient(2023), GEOMETRY))
    sizes = measure_file(path, "p", get_edition(2022))
    assert sizes.volume_mm3 is None
    assert str(path) in sizes.problem
    assert "holds 3" in sizes.problem


def test_a_mask_that_fills_the_head_is_not_measured(tmp_path):
    side = 1 + round(MOST_VOXELS ** (1 / 3))
    everywhere = Geometry((side, side, side), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), GEOMETRY.direction)
    path = tmp_path / "a_Label.nii"
    write_volume(path, Volume(np.ones(everywhere.size_zyx, dtype=np.uint8), everywhere))
    sizes = measure_file(path, "a", get_edition(2022))
    assert sizes.volume_mm3 is None
    assert f"holds {side**3} voxels of its structures" in sizes.problem
