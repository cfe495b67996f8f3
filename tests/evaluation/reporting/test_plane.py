"""Which side of the patient a picture's edges face, by direction cosines, and how long its scale bar is."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.reporting.plane import plane_of, scale_of, side_of
from vestibule.volume import Volume, reorient


@pytest.mark.parametrize(
    ("axes", "edges"),
    [
        ("LPS", ("R", "L", "A", "P")),
        ("RAS", ("L", "R", "P", "A")),
        ("RPS", ("L", "R", "A", "P")),
        ("LAS", ("R", "L", "P", "A")),
        ("LSA", ("R", "L", "I", "S")),
        ("PIR", ("A", "P", "S", "I")),
    ],
)
def test_edges_are_named_by_where_rows_and_columns_run_to(geometry, labels, axes, edges) -> None:
    turned = reorient(Volume(labels, geometry), axes)
    assert plane_of(turned.geometry).edges == edges


def test_a_tilted_slice_has_the_sides_that_it_is_nearest_to(geometry) -> None:
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    # Nodded forwards, as heads lie in scanners, and mirrored from left to right.
    direction = (-1.0, 0, 0, 0, cos, -sin, 0, sin, cos)
    assert plane_of(replace(geometry, direction=direction)).edges == ("L", "R", "A", "P")


def test_the_side_of_a_patient_is_that_of_itks_axes() -> None:
    assert side_of(np.array([0.9, -0.3, 0.1])) == "L"
    assert side_of(np.array([0.2, -0.9, 0.1])) == "A"
    assert side_of(np.array([0.2, 0.3, -0.9])) == "I"


def test_pixels_are_as_high_and_wide_as_the_volumes_voxels(geometry) -> None:
    plane = plane_of(geometry)
    assert plane.pixel_yx_mm == (0.5, 0.4)
    assert plane.aspect == pytest.approx(1.25)


@pytest.mark.parametrize(("width_mm", "length_mm"), [(180, 50), (61, 20), (59, 10), (4, 1), (2.5, 0)])
def test_a_scale_bar_takes_a_third_of_the_picture_at_most(width_mm: float, length_mm: float) -> None:
    assert scale_of(width_mm) == length_mm
