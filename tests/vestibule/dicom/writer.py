"""DICOM files as scanners and planning systems write them, from volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from vestibule.dicom.headers import MR_STORAGE, RTSTRUCT_STORAGE
from vestibule.volume import Volume

SINGLE_FRAME, ENHANCED, _ = MR_STORAGE


def new_file(storage: str, modality: str, patient: str = "p1", **elements) -> Dataset:
    """A data set with all that every file has."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = storage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = modality
    dataset.PatientID = patient
    dataset.PatientName = "Phantom^Nobody"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyDate = "20210309"
    dataset.StudyTime = "120000"
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "vestibule"
    dataset.SeriesNumber = 1
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def put_pixels(dataset: Dataset, values: np.ndarray) -> None:
    """Store int16 values, (Y, X) or (frames, Y, X)."""
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = np.ascontiguousarray(values.astype("<i2")).tobytes()


def place(volume: Volume, index: int) -> tuple[list[float], list[float]]:
    """ImagePositionPatient and ImageOrientationPatient of a slice."""
    geometry = volume.geometry
    position = geometry.to_patient(np.array([0, 0, index]))
    return [round(v, 6) for v in position.tolist()], [round(v, 9) for v in geometry.matrix.T[:2].ravel().tolist()]


def write_series(folder: Path, volume: Volume, description: str = "t2_ciss", **elements) -> dict[str, str]:
    """Write one file a slice, in an order that their names do not tell. Returns UIDs of study, series and frame."""
    folder.mkdir(parents=True, exist_ok=True)
    uids = {
        "StudyInstanceUID": elements.pop("StudyInstanceUID", None) or generate_uid(),
        "SeriesInstanceUID": elements.pop("SeriesInstanceUID", None) or generate_uid(),
        "FrameOfReferenceUID": elements.pop("FrameOfReferenceUID", None) or generate_uid(),
    }
    shuffled = np.random.default_rng(0).permutation(len(volume.voxels))
    for number, index in enumerate(shuffled):
        dataset = new_file(SINGLE_FRAME, "MR", SeriesDescription=description, **uids, **elements)
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = place(volume, int(index))
        _, spacing_y, spacing_x = volume.geometry.spacing_zyx
        dataset.PixelSpacing = [spacing_y, spacing_x]
        dataset.SliceThickness = volume.geometry.spacing_zyx[0]
        dataset.InstanceNumber = number + 1
        dataset.ScanningSequence = "GR"
        dataset.SequenceVariant = "NONE"
        dataset.ScanOptions = ""
        dataset.MRAcquisitionType = "3D"
        dataset.EchoTime = elements.get("EchoTime", 5.0)
        dataset.EchoTrainLength = 1
        dataset.PositionReferenceIndicator = ""
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        put_pixels(dataset, volume.voxels[index])
        dataset.save_as(folder / f"IM{number:04d}.dcm", enforce_file_format=True)
    return uids


def write_enhanced(path: Path, volume: Volume, description: str = "t2_ciss", **elements) -> None:
    """Write all slices as frames of one enhanced MR file, in an order that is not theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    dataset = new_file(ENHANCED, "MR", SeriesDescription=description, **uids, **elements)
    order = np.random.default_rng(1).permutation(len(volume.voxels))
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    _, spacing_y, spacing_x = volume.geometry.spacing_zyx
    measures.PixelSpacing = [spacing_y, spacing_x]
    _, orientation.ImageOrientationPatient = place(volume, 0)
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in order:
        frame, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient, _ = place(volume, int(index))
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 2, -5, "US"
        frame.PlanePositionSequence = [position]
        frame.PixelValueTransformationSequence = [values]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = len(frames)
    put_pixels(dataset, volume.voxels[order])
    dataset.save_as(path, enforce_file_format=True)


def write_structures(
    path: Path, structures: dict[str, list[np.ndarray]], uids: dict[str, str], patient: str = "p1"
) -> None:
    """Write an RTSTRUCT of closed lines (points, 3) in mm by the name of their structure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = new_file(RTSTRUCT_STORAGE, "RTSTRUCT", patient, SeriesInstanceUID=generate_uid())
    dataset.StudyInstanceUID = uids["StudyInstanceUID"]
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = uids["SeriesInstanceUID"]
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = uids["FrameOfReferenceUID"]
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    for number, (name, lines) in enumerate(structures.items(), start=1):
        roi, contours = Dataset(), Dataset()
        roi.ROINumber = contours.ReferencedROINumber = number
        roi.ROIName = name
        contours.ContourSequence = []
        for line in lines:
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(line)
            contour.ContourData = [f"{value:.4f}" for value in line.ravel()]
            contours.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(contours)
    dataset.save_as(path, enforce_file_format=True)


def edit(path: Path, **elements) -> None:
    """Set elements of a file; None deletes one."""
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
