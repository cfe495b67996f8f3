"""Masks that a segmenter finds in real T2: pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.data.slices import PreparedCase
from vestibule.components import ComponentRule, keep_components
from vestibule.editions import TUMOUR, Edition
from vestibule.files import atomic, file_sha256, read_json, write_json
from vestibule.progress import track

if TYPE_CHECKING:
    from vestibule.segmentation import Segmenter

RECORD = "found.json"
"""File in the folder of masks, written last: the sha256 of each."""


@dataclass(frozen=True)
class Found:
    """What a segmenter has found in an image."""

    case: PreparedCase
    """The image, with the mask in place of any label."""
    largest_share: float
    """Share of the tumour's voxels that were in its largest part, which alone stays; 1 where there is no tumour."""


def find_masks(cases: Sequence[PreparedCase], segmenter: Segmenter, edition: Edition, folder: Path) -> list[Found]:
    """Replace the labels of cases by the segmenter's own masks.

    Args:
        cases: Real T2.
        segmenter: What finds the masks.
        edition: What labels mean.
        folder: Where the masks are written, uint8 (Z, Y, X).

    Returns:
        The cases with these masks in place of any label, in the same order.
    """
    folder.mkdir(exist_ok=True)
    found = []
    for case in track(cases, "pseudo-labels"):
        image = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        every_part = labels_in(image, case, segmenter)
        labels = largest_tumour(every_part, edition)
        path = folder / f"{case.name}.npy"
        with atomic(path) as partial:
            np.save(partial, labels)
        pseudo_labelled = replace(case, label_path=path)
        share = _share_kept(every_part, labels, edition)
        one = Found(pseudo_labelled, share)
        found.append(one)
    return found


def write_masks(found: Sequence[PreparedCase], folder: Path) -> None:
    """Record the masks that a folder holds, for `read_masks`; `found` are the cases with them in place of labels."""
    hashes = {}
    for case in found:
        if case.label_path is not None:
            hashes[case.name] = file_sha256(case.label_path)
    write_json(folder / RECORD, {"masks": hashes})


def read_masks(cases: Sequence[PreparedCase], folder: Path) -> list[PreparedCase] | None:
    """The cases with the masks of a folder in place of any label; None where a mask is not as it was recorded."""
    record = read_json(folder / RECORD)
    if record is None:
        return None
    masked = []
    for case in cases:
        path = folder / f"{case.name}.npy"
        sha256 = record.get("masks", {}).get(case.name)
        if not path.is_file() or file_sha256(path) != sha256:
            return None
        masked.append(replace(case, label_path=path))
    return masked


def labels_in(image: np.ndarray, case: PreparedCase, segmenter: Segmenter) -> np.ndarray:
    """What a segmenter finds in an image (Z, Y, X) that has the case's voxels: labels, uint8 of the same shape."""
    probabilities = segmenter.probabilities(image, case.spacing_zyx)  # (C, Z, Y, X)
    labels = probabilities.argmax(axis=0)
    return labels.astype(np.uint8)


def largest_tumour(labels: np.ndarray, edition: Edition) -> np.ndarray:
    """`labels` (Z, Y, X) with the largest connected tumour alone; a patient has one. Other structures stay."""
    rules = {TUMOUR: ComponentRule(most=1)}
    # The number of parts is all that counts.
    return keep_components(labels, rules, edition, voxel_mm3=1.0)


def _share_kept(before: np.ndarray, after: np.ndarray, edition: Edition) -> float:
    """Share of the tumour's voxels in `before` that `after` has, too; 1 where there is none."""
    tumour = edition.mask_of(before, TUMOUR)
    kept = edition.mask_of(after, TUMOUR)
    voxels = int(tumour.sum())
    if voxels == 0:
        return 1.0
    return int(kept.sum()) / voxels
