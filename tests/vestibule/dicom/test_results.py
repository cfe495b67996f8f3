import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.vestibule.dicom.test_images import AXIAL, only, rotation
from tests.vestibule.dicom.writer import write_enhanced, write_series
from training.importing.contours import mask_of, read_structures
from vestibule.dicom.images import read_stack
from vestibule.dicom.results import write_rtstruct, write_seg
from vestibule.editions import get_edition
from vestibule.volume import Geometry, Volume, from_image, reorient

EDITION = get_edition(2021)
DCMQI = Path(sys.executable).parent / "segimage2itkimage"


def scan(direction=AXIAL, orientation=None):
    geometry = Geometry((6, 18, 14), (2.5, 0.5, 0.75), (-30.0, 12.25, 5.5), tuple(direction))
    voxels = np.random.default_rng(0).integers(0, 900, geometry.size_zyx).astype(np.float32)
    volume = Volume(voxels, geometry)
    return reorient(volume, orientation) if orientation else volume


def labels_for(size_zyx):
    """Structures without any symmetry, one with a hole, on a grid of any size."""
    labels = np.zeros(size_zyx, dtype=np.uint8)
    labels[1:4, 1:5, 2:5] = 1
    labels[2, 2:4, 3] = 0
    labels[4, 5, 1] = 1
    labels[3:5, 3:5, 5:6] = 2
    return labels


VOLUMES = {
    "axial": scan(),
    "oblique": scan(rotation(0, 17)),
    "sagittal": scan(orientation="PIL"),
    "flipped": scan(orientation="RAS"),
}


@pytest.fixture(params=VOLUMES, name="volume")
def each_volume(request):
    return VOLUMES[request.param]


def read_by_dcmqi(path, folder):
    """The segments of a SEG as dcmqi reads it: label by number of the segment, as a volume."""
    folder.mkdir()
    command = [DCMQI, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nii", "--prefix", "s"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    found = {}
    for number in (1, 2):
        image = folder / f"s-{number}.nii.gz"
        if image.is_file():
            found[number] = from_image(sitk.ReadImage(str(image)))
    return found


def assert_dcmqi_reads(path, labels, geometry, folder):
    """Whatever the order of its voxels: each one of labels 1 and 2 (Z, Y, X) is there, in its place, and no other."""
    found = read_by_dcmqi(path, folder)
    for number in (1, 2):
        written = np.argwhere(labels == number)[:, ::-1]
        places = geometry.to_patient(written)
        read = found[number]
        places_read = read.geometry.to_patient(np.argwhere(read.voxels > 0)[:, ::-1])
        assert len(places) == len(places_read)
        distances = np.linalg.norm(places[:, None] - places_read[None], axis=-1)
        assert distances.min(axis=1).max() < 0.01


@pytest.mark.skipif(not DCMQI.is_file(), reason="dcmqi is not installed")
@pytest.mark.parametrize("write", [write_series, lambda folder, volume: write_enhanced(folder / "e.dcm", volume)])
def test_dcmqi_reads_a_seg_where_the_structures_lie(tmp_path, volume, write):
    write(tmp_path / "scan", volume)
    stack = read_stack(only(tmp_path / "scan"))
    labels = labels_for(stack.volume.geometry.size_zyx)
    assert write_seg(tmp_path / "seg.dcm", labels, stack, EDITION) == ["vs", "cochlea"]
    assert_dcmqi_reads(tmp_path / "seg.dcm", labels, stack.volume.geometry, tmp_path / "nii")


def test_a_seg_refers_to_the_images_and_names_its_structures(tmp_path):
    write_series(tmp_path / "scan", scan(), PatientID="p7")
    stack = read_stack(only(tmp_path / "scan"))
    write_seg(tmp_path / "seg.dcm", labels_for((6, 18, 14)), stack, EDITION)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    assert seg.PatientID == "p7"
    assert "not for clinical use" in seg.SeriesDescription
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in seg.SegmentSequence]
    assert [(kind.CodeValue, kind.CodingSchemeDesignator) for kind in kinds] == [
        ("126949007", "SCT"),
        ("80169004", "SCT"),
    ]
    referred = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referred == {frame.instance for frame in stack.frames}


def test_contours_that_are_read_back_are_the_mask_voxel_by_voxel(tmp_path, volume):
    write_series(tmp_path / "scan", volume)
    stack = read_stack(only(tmp_path / "scan"))
    labels = labels_for(stack.volume.geometry.size_zyx)
    assert write_rtstruct(tmp_path / "rs.dcm", labels, stack, EDITION) == ["vs", "cochlea"]
    found = read_structures(tmp_path / "rs.dcm")
    assert [one.name for one in found.structures] == ["VS", "cochlea"]
    for value, structure in enumerate(found.structures, start=1):
        mask = mask_of(structure.contours, stack.volume.geometry, structure.name)
        np.testing.assert_array_equal(mask, labels == value)


def test_each_contour_names_the_slice_that_it_lies_on(tmp_path):
    write_series(tmp_path / "scan", scan())
    stack = read_stack(only(tmp_path / "scan"))
    write_rtstruct(tmp_path / "rs.dcm", labels_for((6, 18, 14)), stack, EDITION)
    heights = {frame.instance: frame.position_xyz[2] for frame in stack.frames}
    for roi in pydicom.dcmread(tmp_path / "rs.dcm").ROIContourSequence:
        for contour in roi.ContourSequence:
            instance = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            assert float(contour.ContourData[2]) == pytest.approx(heights[instance], abs=1e-3)


@pytest.mark.parametrize("write", [write_seg, write_rtstruct])
def test_an_empty_mask_leaves_no_file(tmp_path, write):
    write_series(tmp_path / "scan", scan())
    stack = read_stack(only(tmp_path / "scan"))
    assert write(tmp_path / "out.dcm", np.zeros((6, 18, 14), dtype=np.uint8), stack, EDITION) == []
    assert not (tmp_path / "out.dcm").exists()
