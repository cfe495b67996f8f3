"""Every metric of one case: a prediction against its reference, a structure at a time."""

from __future__ import annotations

import numpy as np

from evaluation.metrics import (
    Mode,
    boundary_voxels,
    check_mode,
    detect,
    dice,
    empty_distance,
    surface_distances,
    voxel_distances,
)
from evaluation.metrics.surfaces import bounding_box
from evaluation.scoring.cases import AlignedPair
from evaluation.scoring.scores import Row
from vestibule.editions import Edition
from vestibule.volume import Geometry


def score_case(case: str, pair: AlignedPair, edition: Edition, mode: Mode = "default") -> list[Row]:
    """Rows of one case, one a structure, with the keys of `COLUMNS`; the rest of the labels is not looked at.

    In an edition with parts (2023), they are structures too, and the row of `vs` says how far the boundary between
    them lies from the reference's, as `boundary_assd_mm`.
    """
    box = _union_box(pair)
    found, expected = pair.prediction[box], pair.reference[box]
    rows = []
    for structure, labels in (edition.structures | edition.parts).items():
        scores = _structure_scores(_holds(found, labels), _holds(expected, labels), pair.geometry, mode)
        rows.append({"case": case, "structure": structure, **scores})
    if edition.parts:
        boundaries = [
            boundary_voxels(*(_holds(values, part) for part in edition.parts.values())) for values in (found, expected)
        ]
        rows[0]["boundary_assd_mm"] = _boundary_assd(*boundaries, pair.geometry, mode)
    return rows


def _structure_scores(prediction: np.ndarray, reference: np.ndarray, geometry: Geometry, mode: Mode) -> Row:
    counts = [int(np.count_nonzero(mask)) for mask in (prediction, reference)]
    if all(counts):
        distances = surface_distances(prediction, reference, reported_spacing(geometry, mode))
        scores = {
            "dice": dice(prediction, reference),
            "assd_mm": distances.assd(mode),
            "hd95_pooled_mm": distances.hd95_pooled(),
            "hd95_directed_mm": distances.hd95_directed(),
        }
    else:
        distance = _distance_without(any(counts), geometry, mode)
        scores = {"dice": 0.0 if distance else 1.0}
        scores |= dict.fromkeys(("assd_mm", "hd95_pooled_mm", "hd95_directed_mm"), distance)
    volume, reference_volume = (count * float(np.prod(geometry.spacing_zyx)) for count in counts)
    detection = detect(prediction, reference)
    return scores | {
        "volume_mm3": volume,
        "reference_volume_mm3": reference_volume,
        "volume_error_mm3": volume - reference_volume,
        "components": detection.components,
        "components_found": detection.found,
        "components_false": detection.false,
    }


def _boundary_assd(prediction: np.ndarray, reference: np.ndarray, geometry: Geometry, mode: Mode) -> float:
    present = bool(prediction.any()), bool(reference.any())
    if all(present):
        return voxel_distances(prediction, reference, reported_spacing(geometry, mode)).assd(mode)
    return _distance_without(any(present), geometry, mode)


def _distance_without(in_one: bool, geometry: Geometry, mode: Mode) -> float:
    """Distance in mm of a structure that one mask at most holds; `in_one` tells whether one does."""
    if mode == "default" and not in_one:
        return 0.0
    return empty_distance(geometry.size_zyx, geometry.spacing_zyx, mode)


def reported_spacing(geometry: Geometry, mode: Mode) -> tuple[float, float, float]:
    """Voxel spacing in mm (z, y, x) that distances are measured with.

    The organisers read it off the affine's diagonal, which is too small for an oblique image; `challenge` does so too.
    """
    if check_mode(mode) == "default":
        return geometry.spacing_zyx
    diagonal = np.abs(np.diag(geometry.matrix))[::-1]
    return tuple(float(value) for value in diagonal * geometry.spacing_zyx)


def _union_box(pair: AlignedPair) -> tuple[slice, slice, slice]:
    boxes = [box for box in map(bounding_box, (pair.prediction, pair.reference)) if box]
    if not boxes:
        return (slice(0, 1),) * 3
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def spacing_notes(geometry: Geometry, mode: Mode) -> list[str]:
    """Says where the spacing that distances are measured with is not that of the voxels; empty where it is."""
    reported = reported_spacing(geometry, mode)
    if np.allclose(reported, geometry.spacing_zyx, rtol=0.01):
        return []
    texts = [" x ".join(f"{length:.3g}" for length in lengths) for lengths in (reported, geometry.spacing_zyx)]
    return [f"distances use the affine's diagonal, {texts[0]} mm; the voxels are {texts[1]} mm (z x y x x)"]


def _holds(values: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    return np.logical_or.reduce([values == label for label in labels])
