"""Masks as DICOM: segmentation objects (SEG) and contours (RTSTRUCT) that refer to the images they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import highdicom
import numpy as np
from contourpy import contour_generator
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, generate_uid

from vestibule import __version__
from vestibule.dicom.headers import RTSTRUCT_STORAGE, new_dataset, read_header
from vestibule.dicom.images import Stack
from vestibule.editions import TUMOUR, Edition
from vestibule.files import atomic
from vestibule.formats import COLOURS, OTHER_COLOUR
from vestibule.geometry import Geometry

MANUFACTURER = "vestibule"
NOTICE = "Research only, not for clinical use"
"""In every file, as its series' description; DICOM allows 64 characters."""

CODES = {
    TUMOUR: Code("126949007", "SCT", "Vestibular schwannoma"),
    "cochlea": Code("80169004", "SCT", "Cochlea"),
}
"""SNOMED CT codes of structures."""
CATEGORIES = {
    TUMOUR: codes.SCT.MorphologicallyAbnormalStructure,
    "cochlea": codes.SCT.AnatomicalStructure,
}
CONTOUR_DIGITS = 4
"""Decimals of contours, mm."""


def write_seg(path: Path, labels: np.ndarray, stack: Stack, edition: Edition) -> list[str]:
    """Write labels as a DICOM SEG with a binary segment for each structure that is there.

    Args:
        path: Where to; a parent folder is made.
        labels: Integers (Z, Y, X) on the grid of the stack.
        stack: The series that was segmented, whose slices the segments refer to.
        edition: What the labels mean.

    Returns:
        The structures that were written, in the order of their segments; empty, and no file, where there is none.
    """
    structures = _present(labels, edition)
    if not structures:
        return []
    by_file: dict[Path, Dataset] = {}
    for frame in stack.frames:
        if frame.path not in by_file:
            by_file[frame.path] = read_header(frame.path)

    segments = np.zeros((*labels.shape, len(structures)), dtype=np.uint8)  # (Z, Y, X, segments)
    for index, structure in enumerate(structures):
        segments[..., index] = edition.mask_of(labels, structure)
    # highdicom takes frames in the order of the files, or of the frames within the one file.
    if len(by_file) == 1:
        segments = segments[np.argsort([frame.number for frame in stack.frames])]

    descriptions = []
    for number, structure in enumerate(structures, start=1):
        descriptions.append(_describe(number, structure, edition))
    written = highdicom.seg.Segmentation(
        source_images=list(by_file.values()),
        pixel_array=segments,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number="0",
        content_description=NOTICE,
        series_description=NOTICE,
    )
    with atomic(path) as partial:
        written.save_as(partial)
    return structures


def write_rtstruct(path: Path, labels: np.ndarray, stack: Stack, edition: Edition) -> list[str]:
    """Write labels as closed planar contours, halfway between the voxels of a structure and those beside.

    Args:
        path: Where to; a parent folder is made.
        labels: Integers (Z, Y, X) on the grid of the stack.
        stack: The series that was segmented.
        edition: What the labels mean.

    Returns:
        The structures that were written; empty, and no file, where there is none.
    """
    structures = _present(labels, edition)
    if not structures:
        return []
    header = read_header(stack.frames[0].path)
    dataset = _new_structure_set(header)
    for number, structure in enumerate(structures, start=1):
        roi = Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = header.FrameOfReferenceUID
        roi.ROIName = edition.anatomy_of(structure).title
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        dataset.StructureSetROISequence.append(roi)

        observation = Dataset()
        observation.ObservationNumber = number
        observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = "GTV" if structure == TUMOUR else "ORGAN"
        observation.ROIInterpreter = ""
        dataset.RTROIObservationsSequence.append(observation)

        contours = Dataset()
        contours.ReferencedROINumber = number
        contours.ROIDisplayColor = list(COLOURS.get(structure, OTHER_COLOUR))
        mask = edition.mask_of(labels, structure)
        contours.ContourSequence = _contours(mask, stack)
        dataset.ROIContourSequence.append(contours)
    with atomic(path) as partial:
        dataset.save_as(partial, enforce_file_format=True)
    return structures


def outlines(mask: np.ndarray, geometry: Geometry) -> list[tuple[int, np.ndarray]]:
    """Closed lines around the voxels (Z, Y, X) of a mask, each with its slice.

    Args:
        mask: Bool (Z, Y, X).
        geometry: Its grid.

    Returns:
        (z, points (N, 3) in mm); a hole is a line of its own.
    """
    lines = []
    for index, plane in enumerate(mask):
        if not plane.any():
            continue
        # A rim, so that lines close at the border of the slice.
        padded = np.pad(plane.astype(float), 1)
        found = cast(list[np.ndarray], contour_generator(z=padded).lines(0.5))
        for line_xy in found:
            # The last point is the first one again.
            points_xy = line_xy[:-1] - 1
            heights = np.full(len(points_xy), float(index))
            index_xyz = np.column_stack([points_xy, heights])
            lines.append((index, geometry.to_patient(index_xyz)))
    return lines


def _present(labels: np.ndarray, edition: Edition) -> list[str]:
    """The structures that are in labels, in the edition's order."""
    return [structure for structure in edition.structures if edition.mask_of(labels, structure).any()]


def _describe(number: int, structure: str, edition: Edition) -> highdicom.seg.SegmentDescription:
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=MANUFACTURER,
        version=__version__,
        family=codes.DCM.ArtificialIntelligence,
    )
    title = edition.anatomy_of(structure).title
    # A structure that has no code here is told by its name alone.
    kind = CODES.get(structure, Code(structure.upper()[:16], "99VESTIBULE", title))
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=title,
        segmented_property_category=CATEGORIES.get(structure, codes.SCT.AnatomicalStructure),
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=generate_uid(),
        tracking_id=title,
    )


def _new_structure_set(header: Dataset) -> Dataset:
    """An RTSTRUCT of the patient and study of an image, without contours."""
    dataset = new_dataset(RTSTRUCT_STORAGE)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        setattr(dataset, name, header.get(name, ""))
    for name in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(dataset, name, header.get(name, ""))
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = 901
    dataset.SeriesDescription = NOTICE
    dataset.Manufacturer = MANUFACTURER
    dataset.SoftwareVersions = __version__
    dataset.StructureSetLabel = MANUFACTURER
    dataset.StructureSetDate = header.get("StudyDate", "")
    dataset.StructureSetTime = header.get("StudyTime", "")
    dataset.ApprovalStatus = "UNAPPROVED"

    series = Dataset()
    series.SeriesInstanceUID = header.SeriesInstanceUID
    study = Dataset()
    study.ReferencedSOPClassUID = UID("1.2.840.10008.3.1.2.3.1")
    study.ReferencedSOPInstanceUID = header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = header.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    return dataset


def _contours(mask: np.ndarray, stack: Stack) -> Sequence[Dataset]:
    contours = []
    storage = str(read_header(stack.frames[0].path).SOPClassUID)
    for index, points in outlines(mask, stack.volume.geometry):
        image = Dataset()
        image.ReferencedSOPClassUID = storage
        image.ReferencedSOPInstanceUID = stack.frames[index].instance
        contour = Dataset()
        contour.ContourImageSequence = [image]
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        # DICOM allows a number 16 characters.
        contour.ContourData = [f"{value:.{CONTOUR_DIGITS}f}" for value in points.ravel()]
        contours.append(contour)
    return contours
