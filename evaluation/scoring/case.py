"""Every metric of one case: a prediction against its reference, a structure at a time."""

from __future__ import annotations

import numpy as np

from evaluation.metrics import METRICS, MaskPair, Mode, check_mode, reported_spacing
from evaluation.scoring.cases import AlignedPair
from evaluation.scoring.scores import Row
from vestibule.boxes import Box, bounding_box, union_of
from vestibule.editions import Edition
from vestibule.volume import Geometry


def score_case(case: str, pair: AlignedPair, edition: Edition, mode: Mode = "default") -> list[Row]:
    """Every metric of every structure of one case.

    In an edition with parts (2023), they are structures too.

    Args:
        case: Name of the case.
        pair: Labels of prediction and reference on one grid.
        edition: Which label values make up which structure.
        mode: Which definitions, see `Metric`.

    Returns:
        A row a structure: `case`, `structure` and a key for each of `METRICS` that applies to it.

    Raises:
        ValueError: An unknown mode.
    """
    check_mode(mode)
    box = _union_box(pair)
    found = pair.prediction[box]
    expected = pair.reference[box]

    def masks_of(structure: str, parts: tuple[MaskPair, ...] = ()) -> MaskPair:
        prediction = edition.mask_of(found, structure)
        reference = edition.mask_of(expected, structure)
        return MaskPair(prediction, reference, pair.geometry, mode, parts)

    parts = {name: masks_of(name) for name in edition.parts}
    structures: dict[str, MaskPair] = {}
    for structure in edition.structures:
        values = set(edition.values_of(structure))
        own_parts = []
        for name, masks in parts.items():
            if values.issuperset(edition.values_of(name)):
                own_parts.append(masks)
        structures[structure] = masks_of(structure, tuple(own_parts))

    rows: list[Row] = []
    for structure, masks in (structures | parts).items():
        row: Row = {"case": case, "structure": structure}
        for metric in METRICS.values():
            value = metric.value(masks)
            # Not every metric applies to every structure.
            if value is not None:
                row[metric.key] = value
        rows.append(row)
    return rows


def spacing_notes(geometry: Geometry, mode: Mode) -> list[str]:
    """Says where the spacing that distances are measured with is not that of the voxels; empty where it is."""
    reported = reported_spacing(geometry, mode)
    if np.allclose(reported, geometry.spacing_zyx, rtol=0.01):
        return []
    used = _as_text(reported)
    true = _as_text(geometry.spacing_zyx)
    return [f"distances use the affine's diagonal, {used} mm; the voxels are {true} mm (z x y x x)"]


def _as_text(lengths_mm: tuple[float, ...]) -> str:
    texts = [f"{length:.3g}" for length in lengths_mm]
    return " x ".join(texts)


def _union_box(pair: AlignedPair) -> Box:
    """The box that holds every label of both masks, or one voxel where there is none."""
    boxes = []
    for labels in (pair.prediction, pair.reference):
        box = bounding_box(labels)
        if box is not None:
            boxes.append(box)
    if not boxes:
        first = slice(0, 1)
        return first, first, first
    return union_of(*boxes)
