"""What a download holds, told before anything is made of it: every file is checked, and the findings are tabled."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from training.data.raw_cases import RawCase, some_of
from training.parallel import file_by_file
from vestibule.boxes import bounding_box
from vestibule.csv_cells import escaped
from vestibule.editions import TUMOUR, Edition
from vestibule.errors import InputError
from vestibule.files import atomic
from vestibule.geometry import Geometry
from vestibule.turning import turned_onto
from vestibule.volume import Volume, read_header, read_volume

LABEL_ERROR = 0.01
"""Difference from an integer by which a label may be stored."""
PATIENT_ZYX = [2, 1, 0]
"""The patient's axes in the order z, y, x; rows of a direction matrix."""
ROW = "{:8}{:6}{:>6}{:>10}{:>14}{:>14}  {}"
"""A row of the table of findings: domain, site, cases, slices, their spacing, spacing within them, volumes."""
FEWEST_SLICES = 11
"""The challenge's thinnest volume; fewer are worth a remark."""


@dataclass(frozen=True)
class Findings:
    """What was found out about one case."""

    case: str
    domain: str
    site: str | None
    """None where neither the case's name nor the edition tells."""
    size_zyx: tuple[int, ...]
    """Voxels along the patient's axes."""
    spacing_zyx: tuple[float, ...]
    """Voxel spacing in mm along the patient's axes."""
    turned_deg: float
    """Angle between the image's axes and the nearest of the patient's."""
    volumes_mm3: dict[str, float] = field(default_factory=dict)
    """Of each structure; empty without a label."""
    parts_swapped: bool | None = None
    """Whether the tumour's intra-meatal part lies farther from the cochlea than the other; None without both."""
    oddities: tuple[str, ...] = ()


def check_files(cases: Sequence[RawCase], edition: Edition) -> list[Findings]:
    """Check every file of `cases` and tell what they hold.

    Raises InputError that names every faulty file (many are counted) and what is wrong with it.
    """
    found: list[Findings] = []
    faults: list[str] = []
    for result in file_by_file(partial(_checked, edition=edition), cases, "check"):
        if isinstance(result, InputError):
            faults.append(str(result))
        else:
            found.append(result)
    if faults:
        raise InputError(f"{len(faults)} of {len(cases)} cases cannot be used: {some_of(faults)}")
    return found


def _checked(case: RawCase, edition: Edition) -> Findings | InputError:
    # The error is kept, so that one faulty file does not hide the others.
    try:
        return _check_case(case, edition)
    except InputError as fault:
        return fault


def _check_case(case: RawCase, edition: Edition) -> Findings:
    geometry, _ = read_header(case.image)
    oddities = _oddities_of_grid(geometry)
    volumes_mm3: dict[str, float] = {}
    swapped = None
    if case.label:
        label, rounded = _read_label(case.label, case.image, geometry, edition)
        if rounded:
            oddities.append("label stored as fractions, rounded")
        oddities += _oddities_of_label(label.voxels, edition)
        volumes_mm3 = _volumes_mm3(label, edition)
        swapped = _parts_swapped(label, edition)

    return Findings(
        case=case.name,
        domain=case.domain,
        site=edition.site_of(case.name),
        size_zyx=size_in_patient_order(geometry),
        spacing_zyx=_in_patient_order(geometry, geometry.spacing_zyx),
        turned_deg=_turned_deg(geometry),
        volumes_mm3=volumes_mm3,
        parts_swapped=swapped,
        oddities=tuple(oddities),
    )


def _volumes_mm3(label: Volume, edition: Edition) -> dict[str, float]:
    """Volume of every structure, and of the parts of structures."""
    voxel_mm3 = float(np.prod(label.geometry.spacing_zyx))
    volumes = {}
    for name in (*edition.structures, *edition.parts):
        mask = edition.mask_of(label.voxels, name)
        volumes[name] = float(mask.sum()) * voxel_mm3
    return volumes


def size_in_patient_order(geometry: Geometry) -> tuple[int, ...]:
    """Voxels of a grid along the patient's z, y and x, whatever the order of its own axes."""
    return _in_patient_order(geometry, geometry.size_zyx)


def _nearest_axes(geometry: Geometry) -> list[int]:
    """The image axis (0 is x) that lies nearest to the patient's z, y and x."""
    cosines = np.abs(geometry.matrix)  # (patient axis, image axis), both x, y, z
    nearest = []
    for patient_axis in PATIENT_ZYX:
        nearest.append(int(cosines[patient_axis].argmax()))
    return nearest


def _in_patient_order(geometry: Geometry, values_zyx: Sequence) -> tuple:
    """`values_zyx`, one for each axis of the grid, for the patient's z, y and x."""
    values_xyz = values_zyx[::-1]
    return tuple(values_xyz[axis] for axis in _nearest_axes(geometry))


def _turned_deg(geometry: Geometry) -> float:
    """Largest angle between an axis of the patient and the image axis nearest to it."""
    cosines = np.abs(geometry.matrix[PATIENT_ZYX, _nearest_axes(geometry)])  # (3,)
    # Rounding may leave a cosine above 1.
    smallest = min(1.0, cosines.min())
    return float(np.degrees(np.arccos(smallest)))


def _oddities_of_grid(geometry: Geometry) -> list[str]:
    oddities = []
    if _nearest_axes(geometry) != PATIENT_ZYX:
        oddities.append("slices not axial in the file")
    elif np.diag(geometry.matrix).min() < 0:
        oddities.append("axes stored in another direction than LPS")
    slices, _, _ = size_in_patient_order(geometry)
    if slices < FEWEST_SLICES:
        oddities.append("fewer than 11 slices")
    return oddities


def _read_label(path: Path, image: Path, geometry: Geometry, edition: Edition) -> tuple[Volume, bool]:
    """The labelled part of a label as uint8, and whether it was stored as fractions.

    Raises InputError where it lies elsewhere than its image, or holds values that the edition does not know.
    """
    label = read_volume(path)
    # Stored in another order or direction, it is in the same place.
    if turned_onto(label, geometry) is None:
        size_zyx = label.geometry.size_zyx
        raise InputError(
            f"{path}: has size {size_zyx} (z, y, x) or position other than its image {image.name} ({geometry.size_zyx})"
        )

    # Nothing is to be learnt from the voxels around; where there is no label, one voxel stands for all.
    first = slice(0, 1)
    box = bounding_box(label.voxels) or (first, first, first)
    label = label.part(box)

    values = np.rint(label.voxels)
    error = np.abs(label.voxels - values).max()
    if error > LABEL_ERROR:
        raise InputError(f"{path}: holds values between the labels, as an interpolated mask does; expected integers")

    foreign = edition.foreign_labels(values)
    if foreign:
        named = ", ".join(f"{value:g}" for value in foreign[:4])
        raise InputError(f"{path}: holds the label {named}; edition {edition.year} knows {edition.labels}")
    return label.with_voxels(values.astype(np.uint8)), bool(error > 0)


def _oddities_of_label(labels: np.ndarray, edition: Edition) -> list[str]:
    """What `labels` (Z, Y, X) hold of structures otherwise than nearly every patient has them."""
    oddities = []
    if not edition.mask_of(labels, TUMOUR).any():
        oddities.append("no tumour in the label")
    for structure in edition.structures:
        anatomy = edition.anatomy_of(structure)
        if structure == TUMOUR or anatomy.components is None:
            continue
        mask = edition.mask_of(labels, structure)
        # Voxels that meet at a corner belong together.
        _, count = ndimage.label(mask, np.ones((3, 3, 3)))
        if count != anatomy.components:
            oddities.append(f"{count} pieces labelled as {structure} instead of {anatomy.components}")
    return oddities


def _parts_swapped(label: Volume, edition: Edition) -> bool | None:
    """Whether the intra-meatal part lies farther from the cochlea than the extra-meatal one; None without all three."""
    if not edition.parts or "cochlea" not in edition.structures:
        return None
    spacing_zyx = np.asarray(label.geometry.spacing_zyx)
    points_mm = {}
    for name in (*edition.parts, "cochlea"):
        mask = edition.mask_of(label.voxels, name)
        if not mask.any():
            return None
        points_mm[name] = np.argwhere(mask) * spacing_zyx  # (N, 3)

    distance_mm = {}
    for name in edition.parts:
        middle = points_mm[name].mean(axis=0)
        to_cochlea = np.linalg.norm(points_mm["cochlea"] - middle, axis=1)  # (N,)
        # The nearest voxel of either cochlea is one of the tumour's own side.
        distance_mm[name] = to_cochlea.min()
    return bool(distance_mm["vs_intrameatal"] > distance_mm["vs_extrameatal"])


def table(found: Sequence[Findings]) -> str:
    """The findings in lines: a row for every domain and site, then what is odd, and how often."""
    groups: dict[tuple[str, str], list[Findings]] = {}
    for findings in found:
        site = findings.site or "-"
        groups.setdefault((findings.domain, site), []).append(findings)

    lines = [ROW.format("domain", "site", "cases", "slices", "between mm", "in plane mm", "volumes mm3, median")]
    for (domain, site), group in sorted(groups.items()):
        lines.append(ROW.format(domain, site, len(group), *_in_common(group)))

    count: Counter[str] = Counter()
    example: dict[str, str] = {}
    for findings in found:
        count.update(findings.oddities)
        for oddity in findings.oddities:
            example.setdefault(oddity, findings.case)

    for oddity, times in count.most_common():
        lines.append(f"{times} x {oddity} (as {example[oddity]})")
    return "\n".join(lines)


def _in_common(group: Sequence[Findings]) -> list[str]:
    """Slices, spacing between and within them, and volumes of the images of one site, in words."""
    slices = []
    between_mm = []
    in_plane_mm = []
    for findings in group:
        z, y, x = findings.spacing_zyx
        slices.append(findings.size_zyx[0])
        between_mm.append(z)
        in_plane_mm += [y, x]
    return [
        _range(slices, "{:d}"),
        _range(between_mm, "{:.2f}"),
        _range(in_plane_mm, "{:.2f}"),
        _volumes(group) or "no labels",
    ]


def _range(values: Sequence[float], pattern: str) -> str:
    """The smallest and the largest of `values`, or the one that all are."""
    low = pattern.format(min(values))
    high = pattern.format(max(values))
    if low == high:
        return low
    return f"{low}-{high}"


def _volumes(group: Sequence[Findings]) -> str:
    """Medians of the structures' volumes over the labelled cases of a group, by name."""
    by_structure: dict[str, list[float]] = {}
    for findings in group:
        for name, volume_mm3 in findings.volumes_mm3.items():
            by_structure.setdefault(name, []).append(volume_mm3)

    words = []
    for name, volumes_mm3 in sorted(by_structure.items()):
        median = np.median(volumes_mm3)
        words.append(f"{name} {median:.0f}")
    return ", ".join(words)


def swap_warning(found: Sequence[Findings], edition: Edition) -> str | None:
    """Words on labels of the tumour's two parts that look exchanged in most cases; None where they do not."""
    told = [findings.parts_swapped for findings in found if findings.parts_swapped is not None]
    swapped = sum(told)
    # A small tumour may lie oddly; a majority is no chance.
    if 2 * swapped <= len(told):
        return None

    (inner,) = edition.parts["vs_intrameatal"]
    (outer,) = edition.parts["vs_extrameatal"]
    return (
        f"labels {outer} and {inner} look exchanged: in {swapped} of {len(told)} cases {inner}, which edition "
        f"{edition.year} is said to use inside the canal, lies farther from the cochlea than {outer}. Whole tumours "
        f"are unaffected; when scoring their parts, pass --intrameatal {outer}"
    )


def write_findings(path: Path, found: Sequence[Findings]) -> None:
    """Write a CSV with a row for every case. Raises InputError where the disk refuses."""
    structures: set[str] = set()
    for findings in found:
        structures.update(findings.volumes_mm3)
    columns = ["case", "domain", "site", "size_zyx", "spacing_zyx", "turned_deg", *sorted(structures), "oddities"]
    with atomic(path) as partial_path, partial_path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for findings in found:
            writer.writerow(_row(findings))


def _row(findings: Findings) -> dict[str, str | None]:
    row = {
        "case": escaped(findings.case),
        "domain": findings.domain,
        "site": findings.site,
        "size_zyx": _in_words(findings.size_zyx),
        "spacing_zyx": _in_words(findings.spacing_zyx),
        "turned_deg": f"{findings.turned_deg:.1f}",
        "oddities": "; ".join(findings.oddities),
    }
    for name, volume_mm3 in findings.volumes_mm3.items():
        row[name] = f"{volume_mm3:.0f}"
    return row


def _in_words(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
