import contourpy
import numpy as np
import pytest

from tests.vestibule.dicom.test_images import rotation
from tests.vestibule.dicom.writer import write_structures
from training.importing.contours import mask_of, read_structures
from vestibule.errors import InputError
from vestibule.volume import Geometry

GEOMETRY = Geometry((5, 24, 30), (2.0, 0.5, 0.75), (-10.0, 3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))


def outlines(mask, geometry):
    """Closed lines (points, 3) in mm around a mask, halfway between its voxels and those beside."""
    lines = []
    for index, plane in enumerate(mask):
        # A rim, so that lines close at the border.
        padded = np.pad(plane.astype(float), 1)
        for line_xy in contourpy.contour_generator(z=padded).lines(0.5):
            heights = np.full(len(line_xy), float(index))
            index_xyz = np.column_stack([line_xy - 1, heights])
            lines.append(geometry.to_patient(index_xyz[:-1]))
    return lines


def shapes():
    """Two islands on a slice, one of them with a hole and an island in it, and a voxel alone on the next."""
    mask = np.zeros(GEOMETRY.size_zyx, dtype=bool)
    mask[1, 3:16, 4:18] = True
    mask[1, 6:12, 7:14] = False
    mask[1, 8:10, 9:12] = True
    mask[1, 18:22, 22:28] = True
    mask[2, 10, 10] = True
    return mask


@pytest.mark.parametrize("direction", [GEOMETRY.direction, rotation(0, 20), rotation(2, -35)])
def test_islands_and_holes_come_back_voxel_by_voxel(direction):
    geometry = Geometry(GEOMETRY.size_zyx, GEOMETRY.spacing_zyx, GEOMETRY.origin_xyz, tuple(direction))
    mask = shapes()
    np.testing.assert_array_equal(mask_of(outlines(mask, geometry), geometry, "it"), mask)


def test_lines_of_one_plane_may_differ_in_the_last_digit():
    mask = shapes()
    lines = outlines(mask, GEOMETRY)
    lines[-2] = lines[-2] + np.array([0, 0, 0.01])
    np.testing.assert_array_equal(mask_of(lines, GEOMETRY, "it"), mask)


def test_a_line_between_two_slices_counts_for_the_nearer_one():
    mask = np.zeros(GEOMETRY.size_zyx, dtype=bool)
    mask[2, 5:9, 5:9] = True
    moved = [line + np.array([0, 0, 0.7]) for line in outlines(mask, GEOMETRY)]
    np.testing.assert_array_equal(mask_of(moved, GEOMETRY, "it"), mask)


def test_planes_that_fall_on_one_slice_do_not_cancel_out():
    mask = np.zeros(GEOMETRY.size_zyx, dtype=bool)
    mask[2, 5:9, 5:9] = True
    on_it = outlines(mask, GEOMETRY)
    beside = [line + np.array([0, 0, 0.8]) for line in on_it]
    np.testing.assert_array_equal(mask_of(on_it + beside, GEOMETRY, "it"), mask)


def test_what_reaches_out_of_the_image_is_cut_off():
    mask = np.zeros(GEOMETRY.size_zyx, dtype=bool)
    mask[2, 5:9, 0:4] = True
    moved = [line - [1.5, 0, 0] for line in outlines(mask, GEOMETRY)]
    expected = np.zeros_like(mask)
    expected[2, 5:9, 0:2] = True
    np.testing.assert_array_equal(mask_of(moved, GEOMETRY, "it"), expected)


@pytest.mark.parametrize("shift", [[0, 0, 40.0], [0, 0, -9.0], [200.0, 0, 0]])
def test_a_contour_outside_of_the_image_is_refused(shift):
    moved = [line + shift for line in outlines(shapes(), GEOMETRY)]
    with pytest.raises(InputError, match="structure 'TV': a contour lies outside of the image, around"):
        mask_of(moved, GEOMETRY, "p.dcm: structure 'TV'")


def test_a_contour_of_another_direction_is_refused():
    turned = [line[:, [2, 1, 0]] for line in outlines(shapes(), GEOMETRY)]
    with pytest.raises(InputError, match="it was not outlined on this series"):
        mask_of(turned, GEOMETRY, "it")


def test_structures_of_a_file_are_those_that_were_written(tmp_path):
    path = tmp_path / "rs.dcm"
    uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4"}
    lines = outlines(shapes(), GEOMETRY)
    write_structures(path, {"TV": lines, "Cochlea": lines[:1]}, uids)
    found = read_structures(path)
    assert [one.name for one in found.structures] == ["TV", "Cochlea"]
    assert found.series == ("1.2.3",)
    np.testing.assert_allclose(found.structures[0].contours[0], lines[0], atol=1e-3)


def test_a_damaged_file_of_contours_is_named(tmp_path):
    path = tmp_path / "rs.dcm"
    uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4"}
    write_structures(path, {"TV": outlines(shapes(), GEOMETRY)}, uids)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"rs\.dcm"):
        read_structures(path)
