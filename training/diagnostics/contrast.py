"""Evidence that tumours survive: contrast of tumour and cochlea at every station of the method, and what S_A finds.

On labelled T1 cases: the T1 itself, phi0_AB(I), the naive copy, B', and the way back from either T2. On labelled unseen
T2 cases, where there are any: the T2 and the synthetic T1 of every arm, and the tumour that the segmenter finds there.
And whether anatomy stays where it is: the shift of every station against the scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from training.data.intermediates import Translators, data_of, source_stations, target_images
from training.data.slices import read_cases
from training.gan.alignment import shift_between
from training.run_folder import recorded_config
from training.stage_table import EXPORT
from training.stages.transfer import core_of
from vestibule.editions import Edition, get_edition, target_case
from vestibule.files import write_json
from vestibule.pipeline import Model, load_model
from vestibule.preprocessing import mask_to_working, to_working
from vestibule.progress import track
from vestibule.volume import read_labels, read_scan

RING_PX = (3.0, 8.0)
"""The surroundings: voxels of the same slices at more than the first and at most the second distance. The first
is where the default soft edge of the transfer ends, so that the harmonisation does not paint its own background."""
MIN_RING_VOXELS = 8
SMALL_MM3, LARGE_MM3 = 288.0, 2340.0
"""Tumours below and above are small and large, as in the method's successor; the classes of `vestibule statistics`."""
DEFINITION = (
    "cnr = (mean inside - mean of the ring) / standard deviation of the ring; intensities in [-1, 1]; the ring is what "
    f"lies more than {RING_PX[0]:g} and at most {RING_PX[1]:g} working voxels from the structure in its own slices and "
    "belongs to no structure; rim: mean of the structure's outermost voxels in its slices less that of the others; "
    "found_mm3: volume of the true tumour that the segmenter calls tumour; called_mm3: all that it calls tumour; "
    "shift: rows and columns of working voxels by which anatomy lies farther back and left than in the scan, by the "
    "agreement of edges"
)


@dataclass(frozen=True)
class Contrast:
    """One structure in one image."""

    inside_mean: float
    ring_mean: float
    ring_sd: float
    cnr: float
    """Signed: above 0 where the structure is brighter than its surroundings."""
    rim: float | None
    """By how much the structure's outermost voxels are brighter than its core; None where it has no core."""


@dataclass(frozen=True)
class ContrastRow:
    """Contrast of one structure of one case at one station."""

    case: str
    station: str
    structure: str
    size: str
    """Class of the case's tumour."""
    volume_mm3: float
    """Of the structure, on the working grid."""
    inside_mean: float
    ring_mean: float
    ring_sd: float
    cnr: float
    rim: float | None = None


@dataclass(frozen=True)
class FoundRow:
    """The tumour of one unseen case as the segmenter finds it in one arm's synthetic T1."""

    case: str
    arm: str
    size: str
    true_mm3: float
    found_mm3: float
    called_mm3: float


@dataclass(frozen=True)
class ShiftRow:
    """Where the anatomy of one case lies at one station, against its scan."""

    case: str
    station: str
    rows: float
    """Working voxels towards the back."""
    columns: float
    """Working voxels towards the patient's left."""


def contrast(image: np.ndarray, mask: np.ndarray, others: np.ndarray) -> Contrast | None:
    """Contrast of the structure `mask` in `image` against its ring, all (Z, Y, X); `others`: voxels of any structure.

    None where the image has no such structure, or no ring whose intensities vary. Raises ValueError where the shapes
    differ.
    """
    if not image.shape == mask.shape == others.shape:
        raise ValueError(f"image, mask and others must have one shape, got {image.shape, mask.shape, others.shape}")
    around = ring(mask) & ~others
    if around.sum() < MIN_RING_VOXELS:
        return None
    inside, outside = (image[part].astype(np.float64) for part in (mask, around))
    spread = float(outside.std())
    if spread == 0:
        return None
    means = float(inside.mean()), float(outside.mean())
    core = core_of(mask)
    rim = mask & ~core
    edge = float(image[rim].mean() - image[core].mean()) if rim.any() else None
    return Contrast(*means, spread, (means[0] - means[1]) / spread, edge)


def ring(mask: np.ndarray) -> np.ndarray:
    """Surroundings of `mask`, bool (Z, Y, X): its own slices alone, between the two distances of `RING_PX`."""
    result = np.zeros_like(mask, dtype=bool)
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        distance = distance_transform_edt(~mask[index])
        result[index] = (distance > RING_PX[0]) & (distance <= RING_PX[1])
    return result


def size_class(volume_mm3: float) -> str:
    """Class of a tumour of `volume_mm3`: `no tumour`, `small` (< 288), `medium` or `large` (> 2340)."""
    if volume_mm3 <= 0:
        return "no tumour"
    return "small" if volume_mm3 < SMALL_MM3 else "large" if volume_mm3 > LARGE_MM3 else "medium"


def contrast_rows(
    case: str, stations: dict[str, np.ndarray], labels: np.ndarray, voxel_mm3: float, edition: Edition
) -> list[ContrastRow]:
    """Contrast of every structure of one case in every image of `stations` (name -> (Z, Y, X))."""
    masks = {name: np.isin(labels, values) for name, values in edition.structures.items()}
    size = size_class(masks["vs"].sum() * voxel_mm3)
    rows = []
    for station, image in stations.items():
        for structure, mask in masks.items():
            found = contrast(image, mask, labels > 0)
            if found:
                row = ContrastRow(case, station, structure, size, float(mask.sum() * voxel_mm3), **asdict(found))
                rows.append(row)
    return rows


def shift_rows(case: str, stations: dict[str, np.ndarray]) -> list[ShiftRow]:
    """Shift of every image of `stations` (name -> (Z, Y, X)) against the first, which is the scan."""
    (_, scan), *others = stations.items()
    first = torch.from_numpy(scan)[:, None]
    return [ShiftRow(case, name, *shift_between(first, torch.from_numpy(image)[:, None])) for name, image in others]


def evidence(run_dir: Path) -> list[Path]:
    """Measure every labelled case of a finished run; writes `evidence/evidence.json` and `evidence/evidence.md`.

    T1 cases without a tumour and T2 cases without a reference are left out and counted. Raises InputError where the run
    lacks a stage.
    """
    section = recorded_config(run_dir, EXPORT)
    edition, arms = get_edition(section["edition"]), section["arms"]
    translators, contrasts, found, shifts = Translators(run_dir), [], [], []
    cases = read_cases(run_dir, "source")
    shown = [case for case in cases if any(case.tumour_voxels)]
    for case in track(shown, "evidence T1"):
        stations = source_stations(case, run_dir, translators)
        voxel_mm3 = float(np.prod(case.spacing_zyx))
        contrasts += contrast_rows(case.name, stations, np.asarray(case.labels), voxel_mm3, edition)
        shifts += shift_rows(case.name, stations)
    unseen = target_images(data_of(run_dir), edition, edition.validation_folder)
    labelled = [paths for paths in unseen.values() if paths[1]]
    models = {arm: load_model(EXPORT.folder(run_dir) / "bundle", arm) for arm in arms} if labelled else {}
    for image, label in track(labelled, "evidence T2"):
        rows, tumours, moved = measure_unseen(image, label, models, edition)
        contrasts += rows
        found += tumours
        shifts += moved
    summary = {
        "contrast": summarise_contrast(contrasts),
        "tumour": summarise_found(found),
        "shift": summarise_shift(shifts),
    }
    record = {
        "definition": DEFINITION,
        "without_tumour": len(cases) - len(shown),
        "unseen_without_reference": len(unseen) - len(labelled),
        **summary,
        "contrasts": [asdict(row) for row in contrasts],
        "found": [asdict(row) for row in found],
        "shifts": [asdict(row) for row in shifts],
    }
    folder = run_dir / "evidence"
    folder.mkdir(exist_ok=True)
    write_json(folder / "evidence.json", record)
    (folder / "evidence.md").write_text(markdown(summary), encoding="utf-8")
    return [folder / "evidence.json", folder / "evidence.md"]


def measure_unseen(
    image: Path, label: Path, models: dict[str, Model], edition: Edition
) -> tuple[list[ContrastRow], list[FoundRow], list[ShiftRow]]:
    """Contrast in an unseen T2 and in each arm's synthetic T1, the tumour that the segmenter finds there, the shift."""
    case = target_case(image)
    working = to_working(read_scan(image), next(iter(models.values())).preprocessing)
    labels = mask_to_working(read_labels(label), working.geometry)
    voxel_mm3 = float(np.prod(working.geometry.spacing_zyx))
    true = np.isin(labels, edition.structures["vs"])
    stations, found = {"T2": working.voxels}, []
    for arm, model in models.items():
        synthetic = model.synthetic_t1(working)
        if model.translator is not None:
            stations[f"synthetic T1, {arm}"] = synthetic
        probabilities = model.segmenter.probabilities(synthetic, working.geometry.spacing_zyx)
        called = np.isin(probabilities.argmax(axis=0), edition.structures["vs"])
        volumes = (float(voxel_mm3 * mask.sum()) for mask in (true, true & called, called))
        found.append(FoundRow(case, arm, size_class(true.sum() * voxel_mm3), *volumes))
    return contrast_rows(case, stations, labels, voxel_mm3, edition), found, shift_rows(case, stations)


def summarise_contrast(rows: list[ContrastRow]) -> list[dict]:
    """Mean, sd and median of the contrast by structure, station and class of tumour, in order of first appearance."""
    return [
        {
            **{"structure": structure, "station": station, "size": size, "cases": len(members)},
            "cnr_mean": float(np.mean([row.cnr for row in members])),
            "cnr_sd": float(np.std([row.cnr for row in members], ddof=1)) if len(members) > 1 else 0.0,
            "cnr_median": median(row.cnr for row in members),
            "inside_mean": float(np.mean([row.inside_mean for row in members])),
            "rim_mean": float(np.mean(rims)) if rims else None,
        }
        for (structure, station), own in _grouped(rows, lambda row: (row.structure, row.station))
        for size, members in _by_size(own)
        for rims in [[row.rim for row in members if row.rim is not None]]
    ]


def summarise_found(rows: list[FoundRow]) -> list[dict]:
    """Volumes by arm and class of tumour: true, found and called in all, and in how many cases any of it was found."""
    return [
        {
            **{"arm": arm, "size": size, "cases": len(members)},
            **{name: float(sum(getattr(row, name) for row in members)) for name in ("true_mm3", "found_mm3")},
            "called_mm3": float(sum(row.called_mm3 for row in members)),
            "cases_found": sum(row.found_mm3 > 0 for row in members),
        }
        for arm, own in _grouped(rows, lambda row: row.arm)
        for size, members in _by_size(own)
    ]


def summarise_shift(rows: list[ShiftRow]) -> list[dict]:
    """Mean and sd of the shift by station."""
    return [
        {
            **{"station": station, "cases": len(members)},
            **{f"{axis}_mean": float(np.mean([getattr(row, axis) for row in members])) for axis in ("rows", "columns")},
            **{f"{axis}_sd": float(np.std([getattr(row, axis) for row in members])) for axis in ("rows", "columns")},
        }
        for station, members in _grouped(rows, lambda row: row.station)
    ]


def markdown(summary: dict) -> str:
    """The summaries as Markdown tables."""
    lines = _table(
        ("structure", "image", "tumour", "n", "contrast-to-noise", "median", "intensity", "rim"),
        [
            (
                *(item["structure"], item["station"], item["size"], str(item["cases"])),
                f"{item['cnr_mean']:+.2f} ± {item['cnr_sd']:.2f}",
                f"{item['cnr_median']:+.2f}",
                f"{item['inside_mean']:+.2f}",
                "-" if item["rim_mean"] is None else f"{item['rim_mean']:+.2f}",
            )
            for item in summary["contrast"]
        ],
    )
    if summary["shift"]:
        lines += "\n" + _table(
            ("image", "n", "rows towards the back", "columns towards the left"),
            [
                (
                    *(item["station"], str(item["cases"])),
                    *(f"{item[f'{axis}_mean']:+.2f} ± {item[f'{axis}_sd']:.2f}" for axis in ("rows", "columns")),
                )
                for item in summary["shift"]
            ],
        )
    if not summary["tumour"]:
        return lines
    return f"{lines}\n" + _table(
        ("arm", "tumour", "n", "true mm³", "of it found", "called mm³", "cases found"),
        [
            (
                *(item["arm"], item["size"], str(item["cases"]), f"{item['true_mm3']:.0f}"),
                f"{item['found_mm3'] / item['true_mm3']:.0%}" if item["true_mm3"] else "-",
                f"{item['called_mm3']:.0f}",
                str(item["cases_found"]),
            )
            for item in summary["tumour"]
        ],
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _grouped(rows: list, key) -> Iterator[tuple]:
    for group in dict.fromkeys(key(row) for row in rows):
        yield group, [row for row in rows if key(row) == group]


def _by_size(rows: list) -> Iterator[tuple[str, list]]:
    yield "all", rows
    for size in ("no tumour", "small", "medium", "large"):
        members = [row for row in rows if row.size == size]
        if members and len(members) < len(rows):
            yield size, members
