"""What a download holds, told before anything is made of it: every file is checked, and the findings are tabled."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from training.parallel import file_by_file
from vestibule.boxes import bounding_box
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_header, read_volume

if TYPE_CHECKING:
    from training.stages.prepare import RawCase

SAME_PLACE_MM = 1e-2
"""A label lies on its image's grid where no corner is farther off."""
NAMED_AT_MOST = 8
"""Faulty files that one error names; the rest are counted."""


@dataclass(frozen=True)
class Facts:
    """What was found out about one case."""

    case: str
    domain: str
    site: str
    size_zyx: tuple[int, int, int]
    spacing_zyx: tuple[float, float, float]
    turned_deg: float
    """Angle between the image's axes and the nearest of the patient's."""
    volumes_mm3: dict[str, float] = field(default_factory=dict)
    """Of each structure; empty without a label."""
    parts_swapped: bool | None = None
    """Whether the tumour's intra-meatal part lies farther from the cochlea than the other; None without both."""
    oddities: tuple[str, ...] = ()


def survey(cases: list[RawCase], edition: Edition) -> list[Facts]:
    """Check every file of `cases` and tell what they hold.

    Raises InputError that names every faulty file (the first `NAMED_AT_MOST`) and what is wrong with it.
    """

    def look(case: RawCase) -> Facts | InputError:
        try:
            return _look_at(case, edition)
        except InputError as fault:
            return fault

    found = file_by_file(look, cases, "check")
    faults = [str(fault) for fault in found if isinstance(fault, InputError)]
    if faults:
        more = f"; and {len(faults) - NAMED_AT_MOST} more" if len(faults) > NAMED_AT_MOST else ""
        raise InputError(
            f"{len(faults)} of {len(cases)} cases cannot be used: {'; '.join(faults[:NAMED_AT_MOST])}{more}"
        )
    return found


def table(facts: list[Facts]) -> str:
    """The findings in lines: a row for every domain and site, then what is odd, and how often."""
    lines = [
        f"{'domain':8}{'site':6}{'cases':>6}{'slices':>10}{'between mm':>14}{'in plane mm':>14}  volumes mm3, median"
    ]
    for domain, site in sorted({(fact.domain, fact.site) for fact in facts}):
        group = [fact for fact in facts if (fact.domain, fact.site) == (domain, site)]
        ranges = (
            _range([fact.size_zyx[0] for fact in group], "{:d}"),
            _range([fact.spacing_zyx[0] for fact in group], "{:.2f}"),
            _range([step for fact in group for step in fact.spacing_zyx[1:]], "{:.2f}"),
        )
        volumes = _volumes(group) or "no labels"
        lines.append(f"{domain:8}{site:6}{len(group):6d}{ranges[0]:>10}{ranges[1]:>14}{ranges[2]:>14}  {volumes}")
    odd = Counter(oddity for fact in facts for oddity in fact.oddities)
    example = {oddity: fact.case for fact in reversed(facts) for oddity in fact.oddities}
    lines += [f"{count} x {oddity} (as {example[oddity]})" for oddity, count in odd.most_common()]
    return "\n".join(lines)


def swap_warning(facts: list[Facts], edition: Edition) -> str | None:
    """Words on labels of the tumour's two parts that look exchanged in most cases; None where they do not."""
    told = [fact.parts_swapped for fact in facts if fact.parts_swapped is not None]
    if 2 * sum(told) <= len(told):
        return None
    inner, outer = (edition.parts[f"vs_{name}meatal"][0] for name in ("intra", "extra"))
    return (
        f"labels {outer} and {inner} look exchanged: in {sum(told)} of {len(told)} cases {inner}, which edition "
        f"{edition.year} is said to use inside the canal, lies farther from the cochlea than {outer}. Whole tumours "
        f"are unaffected; when scoring their parts, pass --intrameatal {outer}"
    )


def write_findings(path: Path, facts: list[Facts]) -> None:
    """Write a CSV with a row for every case."""
    structures = sorted({name for fact in facts for name in fact.volumes_mm3})
    columns = ["case", "domain", "site", "size_zyx", "spacing_zyx", "turned_deg", *structures, "oddities"]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        for fact in facts:
            row = asdict(fact)
            row |= {name: " ".join(f"{value:g}" for value in row[name]) for name in ("size_zyx", "spacing_zyx")}
            row |= {name: f"{value:.0f}" for name, value in fact.volumes_mm3.items()}
            writer.writerow({**row, "turned_deg": f"{fact.turned_deg:.1f}", "oddities": "; ".join(fact.oddities)})


def _look_at(case: RawCase, edition: Edition) -> Facts:
    geometry, _ = read_header(case.image)
    spacing, size, turned, oddities = _in_patient_order(geometry)
    volumes, swapped = {}, None
    if case.label:
        label = read_volume(case.label)
        if not label.geometry.describes(geometry, SAME_PLACE_MM):
            raise InputError(
                f"{case.label}: has size {label.geometry.size_zyx} (z, y, x) or position other than its image "
                f"{case.image.name} ({geometry.size_zyx})"
            )
        label = _labelled_part(label)
        values, odd = _label_values(case.label, label, edition)
        voxel_mm3 = float(np.prod(geometry.spacing_zyx))
        volumes = {
            name: float(np.isin(values, of).sum()) * voxel_mm3
            for name, of in {**edition.structures, **edition.parts}.items()
        }
        oddities += odd + _missing_structures(values, volumes, edition)
        swapped = _parts_swapped(label.with_voxels(values), edition)
    return Facts(case.name, case.domain, case.site, size, spacing, turned, volumes, swapped, tuple(oddities))


def _in_patient_order(geometry: Geometry) -> tuple[tuple, tuple, float, list[str]]:
    """Spacing and size along the patient's z, y, x, degrees off the nearest such axes, and what is odd about them."""
    matrix = geometry.matrix
    nearest = [int(np.abs(matrix[axis]).argmax()) for axis in (2, 1, 0)]
    spacing = tuple(geometry.spacing_zyx[::-1][index] for index in nearest)
    size = tuple(geometry.size_zyx[::-1][index] for index in nearest)
    cosines = [abs(matrix[axis, index]) for axis, index in zip((2, 1, 0), nearest, strict=True)]
    turned = float(np.degrees(np.arccos(min(1.0, min(cosines)))))
    oddities = []
    if nearest != [2, 1, 0]:
        oddities.append("slices not axial in the file")
    elif min(matrix[k, k] for k in range(3)) < 0:
        oddities.append("axes stored in another direction than LPS")
    if size[0] < 11:
        oddities.append("fewer than 11 slices")
    return spacing, size, turned, oddities


def _labelled_part(label: Volume) -> Volume:
    """The box that holds all labels, out of which nothing is to be learnt; one voxel where there are none."""
    return label.part(bounding_box(label.voxels) or (slice(0, 1),) * 3)


def _label_values(path: Path, label: Volume, edition: Edition) -> tuple[np.ndarray, list[str]]:
    values = np.rint(label.voxels)
    off = float(np.abs(label.voxels - values).max())
    if off > 0.01:
        raise InputError(f"{path}: holds values between the labels, as an interpolated mask does; expected integers")
    foreign = sorted(set(np.unique(values).tolist()) - set(edition.labels))
    if foreign:
        named = ", ".join(f"{value:g}" for value in foreign[:4])
        raise InputError(f"{path}: holds the label {named}; edition {edition.year} knows {edition.labels}")
    return values.astype(np.uint8), ["label stored as fractions, rounded"] if off > 0 else []


def _missing_structures(values: np.ndarray, volumes: dict[str, float], edition: Edition) -> list[str]:
    odd = ["no tumour in the label"] if volumes["vs"] == 0 else []
    cochleae = ndimage.label(np.isin(values, edition.structures["cochlea"]), np.ones((3, 3, 3)))[1]
    if cochleae != 2:
        odd.append(f"{cochleae} pieces labelled as cochlea instead of 2")
    return odd


def _parts_swapped(label: Volume, edition: Edition) -> bool | None:
    if not edition.parts:
        return None
    points = {}
    for name, values in {**edition.parts, "cochlea": edition.structures["cochlea"]}.items():
        index = np.argwhere(np.isin(label.voxels, values))
        if len(index) == 0:
            return None
        points[name] = index * np.asarray(label.geometry.spacing_zyx)
    middle = {name: points[name].mean(axis=0) for name in edition.parts}
    # The nearest voxel of either cochlea is one of the tumour's own side.
    distance = {name: np.linalg.norm(points["cochlea"] - at, axis=1).min() for name, at in middle.items()}
    return bool(distance["vs_intrameatal"] > distance["vs_extrameatal"])


def _range(values: list, pattern: str) -> str:
    low, high = pattern.format(min(values)), pattern.format(max(values))
    return low if low == high else f"{low}-{high}"


def _volumes(group: list[Facts]) -> str:
    names = sorted({name for fact in group for name in fact.volumes_mm3})
    medians = {name: np.median([fact.volumes_mm3[name] for fact in group if fact.volumes_mm3]) for name in names}
    return ", ".join(f"{name} {median:.0f}" for name, median in medians.items())
