"""Vestibular-Schwannoma-SEG as TCIA delivers it (Shapey et al., Scientific Data 2021): DICOM and RTSTRUCT.

A patient is a folder `VS-SEG-NNN` with studies and series in it: T1 with contrast, T2, and contours that were drawn on
one or both. In place of RTSTRUCT the authors' own contours can be read: folders `vs_gk_N_t1` and `vs_gk_N_t2` with a
`contours.json` and an affine transform between both images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from training.importing.collection import OpenCollection
from training.importing.contours import Structure, mask_of, read_structures
from training.importing.grids import taken_over
from training.importing.names import match_names
from training.importing.patients import Scan, check_patient
from vestibule.dicom.headers import T1, T1_CONTRAST, T2, Series, find_series
from vestibule.dicom.images import read_stack
from vestibule.dicom.naming import case_name
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.volume import Geometry

_NEVER_GIVEN = (39, 97, 130, 160, 168, 208, 219, 227)
COLLECTION = OpenCollection(
    "Vestibular-Schwannoma-SEG",
    "VS-SEG-",
    published=tuple(f"VS-SEG-{number:03d}" for number in range(1, 251) if number not in _NEVER_GIVEN),
)
"""Its 242 patients are those of the authors' own list, `params/split_TCIA.csv` in their repository VS_Seg."""
_T1_TO_T2 = re.compile(r"t1_lps_to_t2_lps", re.IGNORECASE)
_T2_TO_T1 = re.compile(r"t2_lps_to_t1_lps", re.IGNORECASE)

Names = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Outlined:
    """Contours and where they are from."""

    structures: tuple[Structure, ...]
    path: Path


def read_patient(folder: Path, edition: Edition, names: Names, contours: Path | None = None) -> list[Scan]:
    """Read a patient: both images, and the structures as labels on the grid of each.

    Args:
        folder: `VS-SEG-NNN`.
        edition: Whose label values are written; one with a single value for the tumour.
        names: What the names of structures stand for.
        contours: Folder with the authors' `vs_gk_N_t1` and `vs_gk_N_t2`, which are then read in place of RTSTRUCT.

    Returns:
        T1 and T2.

    Raises:
        InputError: An image or the contours are missing, doubled, of another patient or damaged.
    """
    found = find_series(folder)
    if found.problems:
        raise InputError(found.problems[0])
    t1 = _single(found.series, (T1_CONTRAST, T1), folder)
    t2 = _single(found.series, (T2,), folder)
    check_patient(found.series, folder)
    images = {"t1": read_stack(t1).volume, "t2": read_stack(t2).volume}

    if contours is None:
        drawn = _of_rtstruct(found.series, t1, t2, folder)
        transforms: dict[str, sitk.Transform] = {}
    else:
        drawn, transforms = _of_authors(contours, COLLECTION.number_of(folder))

    frames = {"t1": t1.frame_of_reference, "t2": t2.frame_of_reference}
    labels = {}
    taken_for: dict[str, str] = {}
    for modality in ("t1", "t2"):
        other = "t2" if modality == "t1" else "t1"
        source = modality if modality in drawn else other
        matched = match_names([one.name for one in drawn[source].structures], names, drawn[source].path)
        taken_for.update(matched)
        own = _labels(drawn[source], matched, images[source].geometry, edition)
        if source != modality:
            same_frame = bool(frames["t1"]) and frames["t1"] == frames["t2"]
            if modality not in transforms and not same_frame:
                raise InputError(
                    f"{folder}: {modality.upper()} has no contours of its own, another frame of reference than "
                    f"{other.upper()}, and no matrix between them; give the authors' contours with --contours"
                )
            moved = images[source].with_voxels(own)
            own = taken_over(moved, images[modality].geometry, transforms.get(modality))
        labels[modality] = own
    case = case_name(folder.name)
    scans = []
    for modality, contrast in (("t1", T1), ("t2", T2)):
        scans.append(Scan(case, contrast, images[modality], labels[modality], taken_for))
    return scans


def _single(series: Sequence[Series], kinds: tuple[str, ...], folder: Path) -> Series:
    """The one series of the first of `kinds` that there is. Raises InputError where there are two or none."""
    for kind in kinds:
        fitting = [one for one in series if one.is_image and one.kind == kind]
        if len(fitting) > 1:
            shown = ", ".join(f"{one.description!r} in {one.where}" for one in fitting)
            raise InputError(f"{folder}: {len(fitting)} series are {kind}, where one is due: {shown}")
        if fitting:
            return fitting[0]
    there = ", ".join(repr(one.description) for one in series if one.is_image) or "none"
    raise InputError(f"{folder}: no series that is {kinds[0]}; its series are {there}")


def _of_rtstruct(series: Sequence[Series], t1: Series, t2: Series, folder: Path) -> dict[str, Outlined]:
    """Contours by the image that they were drawn on, `t1` or `t2`."""
    modalities = {t1.uid: "t1", t2.uid: "t2"}
    drawn: dict[str, Outlined] = {}
    for one in series:
        if not one.is_structures:
            continue
        for path in one.files:
            found = read_structures(path)
            referred = [modalities[uid] for uid in found.series if uid in modalities]
            if len(referred) != 1:
                raise InputError(f"{path}: was drawn on a series that this patient does not have")
            (modality,) = referred
            if modality in drawn:
                raise InputError(f"{path}: {drawn[modality].path.name} has contours of the same image; keep one")
            drawn[modality] = Outlined(found.structures, path)
    if not drawn:
        raise InputError(f"{folder}: has no RTSTRUCT; give the authors' contours with --contours")
    return drawn


def _of_authors(contours: Path, number: int | None) -> tuple[dict[str, Outlined], dict[str, sitk.Transform]]:
    """The authors' contours by image, and how points of an image are found in the other one."""
    drawn = {}
    transforms: dict[str, sitk.Transform] = {}
    for modality in ("t1", "t2"):
        folder = contours / f"vs_gk_{number}_{modality}"
        path = folder / "contours.json"
        if path.is_file():
            drawn[modality] = Outlined(_read_contours(path), path)
        for matrix in sorted(folder.glob("*.tfm")):
            transforms.update(_read_transform(matrix))
    if not drawn:
        raise InputError(f"{contours}: has no contours.json in vs_gk_{number}_t1 or vs_gk_{number}_t2")
    return drawn, transforms


def _read_contours(path: Path) -> tuple[Structure, ...]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        structures = []
        for entry in content:
            lines = []
            for line in entry["LPS_contour_points"]:
                points = np.array(line, dtype=float)
                if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
                    raise ValueError(f"a contour of {entry['structure_name']!r} is no list of x, y, z")
                lines.append(points)
            structures.append(Structure(str(entry["structure_name"]).strip(), tuple(lines)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as contours ({error})") from error
    return tuple(structures)


def _read_transform(path: Path) -> dict[str, sitk.Transform]:
    """A transform by the image whose points it takes to the other one, and its inverse."""
    try:
        transform = sitk.ReadTransform(str(path))
        inverse = transform.GetInverse()
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read as a transform that has an inverse") from error
    if _T1_TO_T2.search(path.name):
        return {"t1": transform, "t2": inverse}
    if _T2_TO_T1.search(path.name):
        return {"t2": transform, "t1": inverse}
    raise InputError(f"{path}: its name does not tell its direction; expected T1_LPS_to_T2_LPS in it, or the other way")


def _labels(drawn: Outlined, matched: Mapping[str, str], geometry: Geometry, edition: Edition) -> np.ndarray:
    """Labels (Z, Y, X) uint8 of the structures on the grid that they were drawn on."""
    by_name = {one.name: one for one in drawn.structures}
    labels = np.zeros(geometry.size_zyx, dtype=np.uint8)
    # The tumour last: where both were drawn, it is tumour.
    for structure in reversed(list(edition.structures)):
        if structure not in matched:
            continue
        name = matched[structure]
        mask = mask_of(by_name[name].contours, geometry, f"{drawn.path}: structure {name!r}")
        value, *_ = edition.values_of(structure)
        labels[mask] = value
    return labels
