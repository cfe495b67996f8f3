"""A generated case as the platform brings a DICOM image set: one file a slice, by its instance's UID, names removed.

Needs the extra `dicom`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from contract.cases import SLUG, GeneratedCase
from vestibule.dicom.headers import MR_STORAGE, new_dataset
from vestibule.files import write_json
from vestibule.inputs import PLATFORM_IMAGES, PLATFORM_LISTING
from vestibule.volume import Volume

SINGLE_FRAME = MR_STORAGE[0]
"""One slice a file."""


def write_dicom_job(case: GeneratedCase, folder: Path, key: str = "socket") -> Path:
    """The platform's layout of a job whose socket is a DICOM image set: /input/images/<slug>/<instance>.dcm."""
    place = f"{PLATFORM_IMAGES}/{SLUG}"
    write_set(folder / place, case.volume)
    socket = {
        "slug": SLUG,
        "relative_path": place,
        "super_kind": "Image",
        "kind": "DICOM Image Set",
    }
    write_json(folder / PLATFORM_LISTING, [{"image": {"name": case.name}, key: socket}])
    return folder


def write_set(folder: Path, volume: Volume) -> None:
    """Write one file a slice, whose names tell nothing of their order, without patient, dates and descriptions.

    Args:
        folder: Where to; it is made.
        volume: Whole numbers from 0 to 65535 (Z, Y, X).
    """
    folder.mkdir(parents=True, exist_ok=True)
    uids = {}
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        uids[name] = generate_uid()
    for index, pixels in enumerate(volume.voxels):
        dataset = _slice_of(volume, index, pixels)
        for name, uid in uids.items():
            setattr(dataset, name, uid)
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)


def _slice_of(volume: Volume, index: int, pixels: np.ndarray) -> Dataset:
    """One slice (Y, X) with all that places it, and no more of the patient than the platform leaves."""
    dataset = new_dataset(SINGLE_FRAME)
    dataset.Modality = "MR"
    dataset.PatientID = ""
    dataset.PatientName = ""

    geometry = volume.geometry
    spacing_z, spacing_y, spacing_x = geometry.spacing_zyx
    position_mm = geometry.to_patient(np.array([0, 0, index]))
    # Rows first: the direction along x, then along y.
    cosines = geometry.matrix.T[:2].ravel()
    dataset.ImagePositionPatient = [round(value, 6) for value in position_mm.tolist()]
    dataset.ImageOrientationPatient = [round(value, 9) for value in cosines.tolist()]
    dataset.PixelSpacing = [round(spacing_y, 9), round(spacing_x, 9)]
    dataset.SliceThickness = spacing_z

    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    return dataset
