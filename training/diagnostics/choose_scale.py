"""Which level to harmonise at, without labels of B: patch statistics inside the tumour, as long as its shape is kept.

For every level of the harmoniser (SinGAN's are the scales n*), tumours of a few T1 cases go through the transfer. Two
numbers are taken inside their masks: `patches`, the sliced Wasserstein distance of the tumours' patches to those of the
reference slice's tumour, and `shape`, the share of the voxels along the inside of the mask's outline that are as bright
as that tumour: where the surroundings flow in, the mask no longer belongs to what it covers. Chosen is the level of the
smallest distance among those that keep `SHAPE_KEPT` of the best share. The first reference slice must show an outlined
tumour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from training.config import RunConfig
from training.data.intermediates import Translators, copied_structures
from training.data.reference_slice import Reference
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.patches import patches_of, sliced_wasserstein
from training.harmonisers.compositing import composite, target_intensity
from training.harmonisers.fitted import load_harmonisers
from training.run_folder import read_outputs
from training.stage_table import CYCLEGAN, HARMONISER
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.progress import track

FOLDER = "sweep"
"""Folder within a run."""
CASES = 6
"""Cases that are tried, those with the largest tumours."""
SHAPE_KEPT = 0.9
BORDER_PX = 2
"""Width of the inside of the outline."""


@dataclass(frozen=True)
class TumourLook:
    """What the reference slice's tumour looks like."""

    patches: np.ndarray
    """(N, PATCH_PX²), around its pixels."""
    low: float
    """Below its 1st percentile by its standard deviation."""
    high: float
    """Above its 99th by as much."""


@dataclass(frozen=True)
class Trial:
    """What harmonisation at one level makes of one case's tumour."""

    level: int | None
    patches: float
    """Patch distance to the reference's tumour; NaN where no whole patch lies around a voxel of the tumour."""
    shape: float
    """Share of the inside of the outline that is as bright as that tumour."""


def sweep(config: RunConfig, run_dir: Path) -> list[Path]:
    """Transfer tumours at every level; writes `sweep/sweep.json`, with the choice, and the sheet `sweep/sweep.png`.

    Args:
        config: Its sections `transfer` and `edition`.
        run_dir: Folder of a run with prepared cases, a CycleGAN and harmonisers.

    Returns:
        Paths of the record and of the sheet.

    Raises:
        InputError: A stage before is missing, or the reference slice has no outlined tumour with a whole patch.
    """
    read_outputs(run_dir, HARMONISER)
    harmoniser, reference = load_harmonisers(run_dir)[0]
    levels = [None, *harmoniser.levels]
    look = look_of(reference)
    settings = replace(config.transfer, blending="soft")
    target = target_intensity(settings, reference)
    edition = get_edition(config.edition)
    translators = Translators(run_dir)
    with_tumour = [case for case in read_cases(run_dir, "source") if any(case.tumour_voxels)]
    cases = largest_first(with_tumour)[:CASES]

    trials = []
    images: dict[int | None, list[np.ndarray]] = {level: [] for level in levels}
    outlines = []
    for case in track(cases, FOLDER):
        source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        mask = copied_structures(case.labels, settings.structures, edition)
        erased = translators(CYCLEGAN, "source_to_target", source)
        index = int(mask.sum(axis=(1, 2)).argmax())
        outlines.append(mask[index])
        for level in levels:
            # Without noise, so that levels differ by nothing else.
            harmonise = harmoniser.at_level(level, None)
            result = composite(source, mask, erased, settings, target, harmonise).harmonised
            images[level].append(result[index])
            patches, shape = measure(result, mask, look)
            trials.append(Trial(level, patches, shape))

    rows = [summary_of(level, trials) for level in levels]
    chosen = choose(rows)
    record = run_dir / FOLDER / "sweep.json"
    write_json(record, {"chosen": chosen, "shape_kept": SHAPE_KEPT, "levels": rows})

    columns = {}
    for row in rows:
        level = row["level"]
        distance = math.nan if row["patches"] is None else row["patches"]
        title = f"{_title(level)}\n{distance:.3f}, {row['shape']:.2f}"
        if level == chosen:
            title += " *"
        columns[title] = images[level]
    sheet = run_dir / FOLDER / "sweep.png"
    names = [case.name for case in cases]
    save_sheet(sheet, columns, dict.fromkeys(columns, outlines), rows=names)
    return [record, sheet]


def look_of(reference: Reference) -> TumourLook:
    """The look of the reference slice's tumour. Raises InputError where it shows none."""
    patches = patches_of(reference.image, reference.tumour)
    if not len(patches):
        raise InputError(
            f"{reference.case}, slice {reference.slice}: shows no outlined tumour to compare with; label it, or choose "
            "the level by eye from transfer/figures"
        )
    inside = reference.image[reference.tumour]
    low, high = np.percentile(inside, [1, 99])
    sd = float(inside.std())
    return TumourLook(patches, float(low) - sd, float(high) + sd)


def measure(result: np.ndarray, mask: np.ndarray, look: TumourLook) -> tuple[float, float]:
    """How much a structure looks like the reference's tumour, and how much of its shape is kept.

    Args:
        result: Image with the structure, (Z, Y, X) in [-1, 1].
        mask: The structure, bool (Z, Y, X).
        look: Of the reference's tumour.

    Returns:
        The distance of patches, NaN where there is no whole one, and the share of the shape.
    """
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    patches = np.concatenate([patches_of(result[index], mask[index]) for index in slices])
    distance = math.nan
    if len(patches):
        # The same directions for every level and case.
        generator = np.random.default_rng(0)
        distance = sliced_wasserstein(patches, look.patches, generator)
    return distance, shape_kept(result, mask, look.low, look.high)


def shape_kept(result: np.ndarray, mask: np.ndarray, low: float, high: float) -> float:
    """Share of the inside of a mask's outline, `BORDER_PX` voxels in plane, that has a structure's intensities.

    Args:
        result: Image, (Z, Y, X).
        mask: The structure, bool (Z, Y, X).
        low: The least of its intensities.
        high: The greatest.

    Returns:
        A share in [0, 1].
    """
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = True
    core = binary_erosion(mask, in_plane, iterations=BORDER_PX)
    border = result[mask & ~core]
    return float(((border >= low) & (border <= high)).mean())


def summary_of(level: int | None, trials: list[Trial]) -> dict:
    """Means over the cases at one level: `patches`, None where no case has one, and `shape`."""
    own = [trial for trial in trials if trial.level == level]
    patches = np.array([trial.patches for trial in own])
    shape = np.array([trial.shape for trial in own])
    known = not np.isnan(patches).all()
    return {
        "level": level,
        "patches": float(np.nanmean(patches)) if known else None,
        "shape": float(shape.mean()),
    }


def choose(rows: list[dict]) -> int | None:
    """The level of the smallest patch distance among those that keep the shape; None is no harmonisation."""
    best = max(row["shape"] for row in rows)
    able = [row for row in rows if row["shape"] >= SHAPE_KEPT * best]

    def distance(row: dict) -> float:
        return math.inf if row["patches"] is None else row["patches"]

    return min(able, key=distance)["level"]


def largest_first(cases: list[PreparedCase]) -> list[PreparedCase]:
    """Cases by the size of their tumour."""
    return sorted(cases, key=lambda case: -sum(case.tumour_voxels))


def _title(level: int | None) -> str:
    return "not harmonised" if level is None else f"level {level}"
