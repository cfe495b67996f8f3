"""What speaks against a mask whatever the image shows: no patient has such a tumour, or such cochleae."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from training.data.slices import PreparedCase
from training.pseudo_labels.masks import Found
from vestibule.editions import COCHLEA, TUMOUR, Edition

Limits = dict[str, tuple[float, float]]
"""Smallest and largest volume of each structure, mm³."""
IN_ONE_PIECE = 0.8
"""Share of a tumour's voxels in its largest part from which on it is one tumour with specks beside it. Our choice."""
ON_A_SIDE = 0.1
"""Share of the cochleae's voxels that the smaller one has at least. Our choice."""


def labelled_volumes(cases: Iterable[PreparedCase], edition: Edition) -> dict[str, list[float]]:
    """Volumes of each structure over the labelled cases that have it, mm³; copies that share a label count once."""
    labelled = {}
    for case in cases:
        labelled[case.label_path] = case

    volumes: dict[str, list[float]] = {}
    for case in labelled.values():
        for structure, volume in volumes_mm3(case, edition).items():
            if volume > 0:
                of_structure = volumes.setdefault(structure, [])
                of_structure.append(volume)
    return volumes


def volume_limits(cases: Iterable[PreparedCase], edition: Edition, margin: float) -> Limits:
    """Volumes that a structure can have, by labelled cases.

    Args:
        cases: Labelled cases; copies that share a label count once.
        edition: What labels mean.
        margin: Factor by which the extremes may be exceeded, at least 1.

    Returns:
        Limits of every structure that a case has.
    """
    limits = {}
    for structure, found in labelled_volumes(cases, edition).items():
        smallest = min(found) / margin
        largest = max(found) * margin
        limits[structure] = (smallest, largest)
    return limits


def volumes_mm3(case: PreparedCase, edition: Edition) -> dict[str, float]:
    """Volume of each structure in a case's label, mm³."""
    voxel_mm3 = float(np.prod(case.spacing_zyx))
    volumes = {}
    for structure in edition.structures:
        mask = edition.mask_of(case.labels, structure)
        voxels = int(mask.sum())
        volumes[structure] = voxels * voxel_mm3
    return volumes


def missing_structures(case: PreparedCase, edition: Edition, limits: Limits) -> list[str]:
    """Structures that labelled cases have, and a case's label has not."""
    volumes = volumes_mm3(case, edition)
    return [structure for structure in limits if volumes[structure] == 0]


def faults_of(found: Found, edition: Edition, limits: Limits) -> list[str]:
    """What speaks against a mask, in words; nothing where it could be a patient's.

    Args:
        found: The mask, and how much of the tumour it is.
        edition: What labels mean.
        limits: Volumes that structures can have.
    """
    faults = []
    if found.largest_share < IN_ONE_PIECE:
        faults.append(f"{TUMOUR} in pieces, the largest {found.largest_share:.0%} of it")
    volumes = volumes_mm3(found.case, edition)
    for structure, (smallest, largest) in limits.items():
        volume = volumes[structure]
        if volume == 0:
            faults.append(f"no {structure}")
        elif volume < smallest:
            faults.append(f"{structure} of {volume:.0f} mm³ is below {smallest:.0f}")
        elif volume > largest:
            faults.append(f"{structure} of {volume:.0f} mm³ is above {largest:.0f}")

    # Of what is not there, the side tells nothing more.
    cochleae = edition.anatomy_of(COCHLEA).components
    if cochleae == 2 and _share_of_smaller_side(found.case, edition) < ON_A_SIDE:
        faults.append(f"{COCHLEA} on one side alone")
    return faults


def _share_of_smaller_side(case: PreparedCase, edition: Edition) -> float:
    """Share of the cochleae's voxels on the side that has fewer, by the image's middle; 1 where there are none."""
    if COCHLEA not in edition.structures:
        return 1.0
    cochleae = edition.mask_of(case.labels, COCHLEA)
    by_column = cochleae.sum(axis=(0, 1))  # (X,)
    voxels = int(by_column.sum())
    if voxels == 0:
        return 1.0
    # The region is centred on the middle between the sides of the head.
    middle = len(by_column) // 2
    first_side = by_column[:middle]
    on_first_side = int(first_side.sum())
    fewer = min(on_first_side, voxels - on_first_side)
    return fewer / voxels
