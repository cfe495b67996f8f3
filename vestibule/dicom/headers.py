"""DICOM files in a folder: which there are, and what their headers say of series, sequence and contrast."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from vestibule.errors import InputError
from vestibule.files import printable
from vestibule.inputs import DICOM_SUFFIXES, begins_as_dicom

# It logs a traceback for each decoder that fails; what keeps a file from being read stands in our own messages.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

T1_CONTRAST, T1, T2, OTHER = KINDS = ("T1 with contrast", "T1", "T2", "other")
"""Kinds of series, as they are told apart."""

MR_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
"""MR images: one slice a file, enhanced (many frames a file), and legacy converted enhanced."""
RTSTRUCT_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"

_DATE = re.compile(r"[0-9]{8}")
_T2_WORDS = re.compile(r"t2|ciss|fiesta|drive|space|b-?ffe|cube", re.IGNORECASE)
_T1_WORDS = re.compile(r"t1|mprage|bravo|spgr|flash|vibe|tfe", re.IGNORECASE)
_CONTRAST_WORDS = re.compile(r"(^|[^a-z])(ce|gd|gad\w*|contrast|post|\+c|km)([^a-z]|$)", re.IGNORECASE)
_NO_CONTRAST = re.compile(r"(^|[^a-z])(no|non|without|pre|un)[-_ ]?(contrast|gad\w*|gd)?", re.IGNORECASE)

LONG_ECHO_MS = 60.0
"""Echo time from which a spin echo is T2-weighted, where its name does not tell."""
SHORT_ECHO_MS = 30.0
SHORT_REPETITION_MS = 1000.0
"""With an echo below the one and a repetition below the other, a sequence is T1-weighted."""


def new_dataset(storage: str) -> Dataset:
    """A data set of a class, by the UID of its storage, as an instance of its own with the header of its file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(storage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return dataset


@dataclass
class Series:
    """The files of one DICOM series, told by their headers alone."""

    uid: str
    patient: str
    date: str
    """Of the study, YYYYMMDD; may be empty."""
    description: str
    frame_of_reference: str
    kind: str
    """One of `KINDS`; `other` for what is no MR image."""
    storage: str
    """SOP class UID."""
    files: list[Path] = field(default_factory=list)

    @property
    def is_image(self) -> bool:
        """Whether it holds MR images."""
        return self.storage in MR_STORAGE

    @property
    def is_structures(self) -> bool:
        """Whether it holds contours."""
        return self.storage == RTSTRUCT_STORAGE

    @property
    def where(self) -> Path:
        """The folder of its files, for messages."""
        return self.files[0].parent

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.where}: series {self.description!r}"


@dataclass(frozen=True)
class Found:
    """What lies in a folder."""

    series: list[Series]
    """By patient, date, and file name."""
    problems: list[str]
    """Files that are called DICOM or begin as such and cannot be read."""


def find_series(folder: Path) -> Found:
    """All DICOM series in a folder and the folders in it; files of other kinds are passed over.

    Raises InputError where there is no such folder or no DICOM file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of DICOM files")
    by_uid: dict[str, Series] = {}
    problems = []
    for path in _candidates(folder):
        try:
            header = read_header(path)
        except InputError as error:
            problems.append(str(error))
            continue
        uid = str(header.get("SeriesInstanceUID", ""))
        # An index of a disc, a report: nothing to read.
        if not uid:
            continue
        if uid not in by_uid:
            try:
                by_uid[uid] = _series_of(header, uid)
            except Exception as error:  # An element that is not what its kind says fails where it is asked for.
                problems.append(f"{printable(path)}: a damaged DICOM file ({type(error).__name__}: {error})")
                continue
        by_uid[uid].files.append(path)
    if not by_uid and not problems:
        raise InputError(f"{folder}: no DICOM file in this folder or those in it")
    series = sorted(by_uid.values(), key=lambda one: (one.patient, one.date, one.files[0]))
    return Found(series, problems)


def read_header(path: Path) -> Dataset:
    """The header of a file, without its pixels. Raises InputError where it cannot be read."""
    return _read(path, stop_before_pixels=True)


def read_dataset(path: Path) -> Dataset:
    """A whole file. Raises InputError where it cannot be read."""
    return _read(path, stop_before_pixels=False)


def kind_of(header: Dataset) -> str:
    """Which of `KINDS` an MR image is: by the words of its description, else by its echo and repetition times."""
    words = " ".join(str(header.get(key, "")) for key in ("SeriesDescription", "ProtocolName", "SequenceName"))
    echo = _milliseconds(header, "EchoTime")
    repetition = _milliseconds(header, "RepetitionTime")
    # T2 first: `t2_space_post_gd` is a T2 whatever was injected.
    if _T2_WORDS.search(words):
        return T2
    is_t1 = bool(_T1_WORDS.search(words))
    if not is_t1 and echo is not None:
        if echo >= LONG_ECHO_MS:
            return T2
        is_t1 = echo < SHORT_ECHO_MS and repetition is not None and repetition < SHORT_REPETITION_MS
    if not is_t1:
        return OTHER
    return T1_CONTRAST if _has_contrast(header, words) else T1


def _has_contrast(header: Dataset, words: str) -> bool:
    agent = str(header.get("ContrastBolusAgent", "")).strip()
    if agent and agent.upper() not in ("NO", "NONE", "0"):
        return True
    return bool(_CONTRAST_WORDS.search(words)) and not _NO_CONTRAST.search(words)


def _milliseconds(header: Dataset, key: str) -> float | None:
    value = header.get(key)
    if value is None or value == "":
        return None
    return float(value)


def _candidates(folder: Path) -> Iterator[Path]:
    """Files that may be DICOM, in the order of their names: by their ending, or by the letters after the preamble."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # Discs have an index, which is no series.
        if hidden or path.is_dir() or path.name.upper() == "DICOMDIR":
            continue
        # A pipe or a device is no file, whatever it is called.
        if path.is_file() and (path.suffix.lower() in DICOM_SUFFIXES or begins_as_dicom(path)):
            yield path


def _read(path: Path, stop_before_pixels: bool) -> Dataset:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
        # Elements are parsed when they are asked for, and a cut file may fail only then.
        str(dataset.get("SeriesInstanceUID", ""))
    except InvalidDicomError as error:
        raise InputError(f"{path}: no DICOM file, though it is called one") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # pydicom raises a dozen kinds for damaged files.
        raise InputError(f"{path}: a damaged DICOM file ({type(error).__name__}: {error})") from error
    return dataset


def _series_of(header: Dataset, uid: str) -> Series:
    storage = str(header.get("SOPClassUID", ""))
    date = str(header.get("StudyDate", "") or "")
    return Series(
        uid=uid,
        patient=str(header.get("PatientID", "")).strip(),
        # What is no date must not become part of a file's name.
        date=date if _DATE.fullmatch(date) else "",
        description=str(header.get("SeriesDescription", "")),
        frame_of_reference=str(header.get("FrameOfReferenceUID", "")),
        kind=kind_of(header) if storage in MR_STORAGE else OTHER,
        storage=storage,
    )
