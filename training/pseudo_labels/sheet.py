"""A sheet of masks that a round has dropped, beside those that it has kept with the least agreement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data.sheets import Captioned, colour_of, save_sheet
from training.pseudo_labels.verdicts import Judged
from vestibule.editions import TUMOUR, Edition

SHEET = "masks.png"
"""File of the sheet, in the round's folder."""
ROWS = 6
"""Masks of each kind that are shown, at most."""


def save_masks(folder: Path, judged: Sequence[Judged], edition: Edition) -> None:
    """Write the sheet of a round to its folder: a slice of each mask, with the outline of what was found."""
    dropped = [one for one in judged if not one.kept]
    kept = [one for one in judged if one.kept]
    # The doubtful ones of those that are learnt from.
    kept.sort(key=_agreement)
    columns: dict[str, list[Captioned]] = {}
    outlines: dict[str, list[np.ndarray]] = {}
    compared = any(one.agreement is not None for one in kept)
    kept_title = "kept, least agreement first" if compared else "kept"
    masks = {"dropped": dropped, kept_title: kept}
    for title, of_kind in masks.items():
        if of_kind:
            slices, outlined = _plot(of_kind[:ROWS], edition)
            columns[title] = slices
            outlines[title] = outlined
    save_sheet(folder / SHEET, columns, outlines, inches=2.6, note=_legend(edition))


def _legend(edition: Edition) -> str:
    """What the colours of outlines mean, and which side is which."""
    told = []
    for structure in edition.structures:
        colours = [colour_of(value) for value in edition.values_of(structure)]
        told.append(f"{' and '.join(colours)}: {structure}")
    return f"{', '.join(told)}; the patient's right is on the left"


def _plot(masks: Sequence[Judged], edition: Edition) -> tuple[list[Captioned], list[np.ndarray]]:
    """Slices with captions, and voxels (Y, X) of what was found in them."""
    slices = []
    outlined = []
    for one in masks:
        case = one.case
        labels = np.asarray(case.labels)
        index = _slice_of(labels, edition)
        # Float16 lies on the disk.
        image = np.asarray(case.image[index], dtype=np.float32)
        told = one.reason
        if not told and one.agreement is not None:
            told = f"agreement {one.agreement:.2f}"
        # A line each, or the caption would be wider than the slice.
        lines = told.replace(": ", ":\n")
        lines = lines.replace("; ", "\n")
        captioned = Captioned(image, f"{case.name}\n{lines}")
        slices.append(captioned)
        outlined.append(labels[index])
    return slices, outlined


def _slice_of(labels: np.ndarray, edition: Edition) -> int:
    """The slice with most of the tumour, of any structure where there is no tumour, or the middle one."""
    tumour = edition.mask_of(labels, TUMOUR)
    found = tumour if tumour.any() else labels > 0
    if not found.any():
        return len(labels) // 2
    voxels = found.sum(axis=(1, 2))  # (Z,)
    return int(voxels.argmax())


def _agreement(one: Judged) -> float:
    return 1.0 if one.agreement is None else one.agreement
